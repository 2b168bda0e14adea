//! Servers with one fault each, and the cases that find it.

use crate::fault::Fault;
use crate::faulty_server::program::command;
use crate::faulty_server::start;
use crate::run::{assert_right, failed, report, trouble, unlike};

/// Each fault, and the cases that fail of it. No others do.
const TABLE: &[(Fault, &[&str])] = &[
    (Fault::Nothing, &[]),
    (Fault::AnswersInCrlf, &[]),
    (Fault::EmptyLineUnanswered, &["answers/empty-line", "answers/many-bad"]),
    (Fault::EmptyLineTwice, &["answers/empty-line", "answers/many-bad"]),
    (Fault::NoColonTwice, &["answers/many-bad", "answers/no-colon", "strangers/http-logged-in"]),
    (Fault::NoColonTaken, &["answers/no-colon"]),
    (Fault::NoTagUnanswered, &["answers/no-tag"]),
    (Fault::UnknownTagCloses, &["answers/no-tag", "states/new-anything-else", "strangers/not-tls"]),
    (Fault::FourthUnknownCloses, &["answers/many-bad"]),
    (Fault::LineEchoed, &["answers/plain"]),
    (Fault::TagsInAnyCase, &["answers/case-matters"]),
    (Fault::LineTrimmed, &["answers/space-before-tag"]),
    (Fault::ReservedTagsTaken, &["answers/many-bad", "answers/reserved-tags"]),
    (Fault::CrKept, &["answers/crlf"]),
    (Fault::CrsStripped, &["texts/carriage-return"]),
    (Fault::TextLimitTooLow, &["lines/longest", "lines/longest-crlf", "texts/longest-delivery"]),
    (Fault::LimitTooHigh, &["lines/too-long", "login/longest-name"]),
    (Fault::CrNotCounted, &["lines/too-long"]),
    (Fault::LongLineSplit, &["lines/much-too-long", "lines/too-long", "login/longest-name"]),
    (Fault::LongLineCloses, &["lines/much-too-long", "lines/too-long", "login/longest-name"]),
    (Fault::VeryLongLineCloses, &["lines/much-too-long"]),
    (Fault::NotClosedAfterHalfClose, &["answers/half-close-ends"]),
    (Fault::CutLineCarriedOut, &["lines/cut"]),
    (
        Fault::SenderLogsInTwice,
        &["answers/many-bad", "states/sender-in-room-slogin", "states/sender-slogin"],
    ),
    (Fault::SenderBecomesReceiver, &["states/sender-in-room-rlogin", "states/sender-rlogin"]),
    (
        Fault::JoinBeforeLogin,
        &["answers/half-close-err", "states/new-join", "strangers/http-known-tag"],
    ),
    (
        Fault::TextWithoutRoom,
        &["answers/in-order", "states/sender-in-room-leave", "states/sender-sendall"],
    ),
    (Fault::LeaveWithoutRoom, &["answers/in-order", "answers/unread", "states/sender-leave"]),
    (Fault::LeaveStays, &["answers/in-order", "states/sender-in-room-leave"]),
    (Fault::LeavePayloadRefused, &["answers/plain", "rooms/sender-leaves"]),
    (Fault::QuitBeforeLoginOk, &["leaving/quit-before-login", "states/new-quit"]),
    (Fault::QuitBeforeLoginStays, &["leaving/quit-before-login", "states/new-quit"]),
    (Fault::QuitInRoomStays, &["leaving/after-quit", "states/sender-in-room-quit"]),
    (Fault::QuitInRoomUnanswered, &["leaving/after-quit", "states/sender-in-room-quit"]),
    (Fault::QuitPayloadRefused, &["answers/plain", "leaving/quit-payload"]),
    (Fault::GoesOnAfterQuit, &["leaving/after-quit"]),
    (Fault::ReceiverSays, &["states/receiver-in-room-sendall", "states/receiver-sendall"]),
    (Fault::ReceiverLeaves, &["delivery/answered-in-room", "states/receiver-in-room-leave"]),
    (Fault::UnderscoreInNames, &["login/no-name", "rooms/no-name"]),
    (Fault::PlusInNames, &["login/other-bytes", "rooms/other-bytes"]),
    (Fault::SpaceAfterName, &["login/space-after-name", "rooms/space-after-name"]),
    (Fault::EmptyUser, &["login/empty-name"]),
    (Fault::EmptyRoom, &["rooms/empty-name"]),
    (Fault::OneLetterNamesRefused, &["login/one-letter", "rooms/one-letter"]),
    (Fault::NamesLowered, &["login/as-given"]),
    (Fault::NamesUnique, &["login/letters-and-digits", "login/same-name"]),
    (Fault::FailedLoginCloses, &["login/again", "login/other-bytes"]),
    (Fault::FailedJoinLeaves, &["answers/many-bad", "rooms/sender-stays"]),
    (Fault::FailedJoinLeavesReceiver, &["rooms/receiver-stays"]),
    (Fault::SenderDoesNotMove, &["rooms/sender-moves"]),
    (Fault::ReceiverHearsBoth, &["delivery/nothing-after-leaving", "rooms/receiver-moves"]),
    (Fault::SameRoomTwice, &["rooms/same-again"]),
    (Fault::TextTrimmed, &["texts/carriage-return", "texts/spaces"]),
    (Fault::NulCuts, &["texts/nul"]),
    (Fault::Utf8Repaired, &["texts/high-bytes"]),
    (Fault::ControlStripped, &["texts/control-bytes"]),
    (Fault::EmptyTextRefused, &["texts/empty"]),
    (Fault::ColonCuts, &["answers/colon-in-payload", "texts/like-a-line"]),
    (Fault::DeliveryCut, &["lines/longest", "lines/longest-crlf", "texts/longest-delivery"]),
    (Fault::FortiethMissed, &["crowd/two-hundred", "delivery/everyone"]),
    (Fault::RepeatedDropped, &["delivery/once"]),
    (Fault::Text900Lost, &["delivery/in-order"]),
    (Fault::Text900Twice, &["delivery/in-order"]),
    (Fault::NoOrder, &["delivery/one-order"]),
    (Fault::PrefixHears, &["rooms/apart"]),
    (Fault::AnyCaseRooms, &["login/as-given", "rooms/apart"]),
    (Fault::OldTextsCome, &["delivery/after-ok", "rooms/came-later", "rooms/receiver-moves"]),
    (Fault::RegisteredBeforeOk, &["delivery/ok-first"]),
    (Fault::RegisteredLate, &["delivery/after-ok"]),
    (Fault::HalfClosedDropped, &["delivery/half-closed"]),
    (Fault::HttpStays, &["strangers/http", "strangers/http-one-err", "strangers/http-too-long"]),
    (Fault::HttpUnanswered, &["strangers/http-one-err"]),
    (Fault::HttpKnownCloses, &["strangers/http-known-tag"]),
    (Fault::LongHttpStays, &["strangers/http-too-long"]),
    (Fault::HttpClosesSender, &["strangers/http-logged-in"]),
    (Fault::TlsStays, &["strangers/tls"]),
    (Fault::ByteOfTlsCloses, &["strangers/not-tls"]),
    (Fault::FewClients, &["crowd/two-hundred"]),
    (Fault::PercentLost, &["texts/plain"]),
    (Fault::HistoryTaken, &["history/not-offered"]),
    (Fault::SlowReceiversBlock, &["waiting/unread-deliveries"]),
    (Fault::AnswersBlock, &["waiting/unread-answers", "waiting/unread-deliveries"]),
    (Fault::HalfLineHolds, &["waiting/half-a-line"]),
    (Fault::RoomForgotten, &["rooms/goes-on-empty"]),
    (Fault::LastWordsLost, &["delivery/sender-reset"]),
    (Fault::Delivery255Lost, &["lines/long"]),
    (Fault::AnswersOvertake, &[]),
    (Fault::ReceiverEmptyUnanswered, &["answers/empty-line"]),
    (Fault::NoColonClosesNew, &["answers/empty-line", "answers/no-colon"]),
    (Fault::ReceiverLongUnanswered, &["lines/too-long"]),
    (Fault::HalfLineKept, &["leaving/in-a-line"]),
    (Fault::ReceiverBackTwice, &["rooms/receiver-moves"]),
    (Fault::SenderBackInVain, &["rooms/sender-moves"]),
    (Fault::LeaveByName, &["login/same-name"]),
    (Fault::GoneByName, &["login/same-name"]),
    (Fault::JoinFailIn, &["rooms/again-after-no-name"]),
    (Fault::RoleStuck, &["login/again"]),
    (Fault::NameStuck, &["login/again"]),
    (Fault::EraseSkips, &["leaving/receiver-unread", "leaving/receivers", "login/same-name"]),
    (Fault::RoomCreatedTwice, &["crowd/all-at-once"]),
    (Fault::FewRooms, &["crowd/many-rooms"]),
    (Fault::TwoLocks, &["crowd/turmoil"]),
    (Fault::EmptyCrlfRefused, &["texts/empty"]),
    (Fault::TlsInPiecesStays, &["strangers/tls"]),
    (Fault::QueueLimited, &["waiting/unread-then-moves"]),
    (Fault::QueueCleared, &["waiting/unread-then-moves"]),
    (Fault::SilenceLoses, &["silence/served-after"]),
    (Fault::DigitsRefused, &["login/letters-and-digits", "rooms/letters-and-digits"]),
    (Fault::TagByPrefix, &["answers/whole-tag"]),
    (Fault::QuitInText, &["texts/like-a-line"]),
    (Fault::RefusedLoginRenames, &["login/name-stays"]),
    (Fault::UnknownIsSaid, &["rooms/err-is-not-said"]),
    (Fault::RoomCut, &["rooms/longest-name", "texts/longest-delivery"]),
    (Fault::OnlyTextsLimited, &["lines/too-long", "login/longest-name"]),
];

/// The same of a program's output and end.
const PROGRAMS: &[(Fault, &[&str])] = &[
    (Fault::Nothing, &[]),
    (Fault::JoinPrinted, &["silent-stdout"]),
    (Fault::StopsWithWord, &["sigint", "sigterm"]),
    (Fault::StopWaits, &["stop-unread"]),
    (Fault::StopDrops, &["stop-queued"]),
    (Fault::StopPrinted, &["silent-stdout"]),
];

/// Some of the table's rows.
fn find(rows: impl Iterator<Item = &'static (Fault, &'static [&'static str])> + Send) {
    assert_right(rows, |(fault, cases), seconds| problem(*fault, cases, seconds));
}

/// What is not as the table says.
fn problem(fault: Fault, cases: &[&str], seconds: &str) -> Option<String> {
    let server = start(fault);
    let port = server.port.to_string();
    // These take their time, and are there for those who wait for a client, or have many.
    let of_kind = |kind: &&str| cases.iter().any(|id| id.starts_with(kind));
    let long = ["answers/unread", "crowd/", "silence/", "waiting/unread-"].into_iter();
    let skipped = long.filter(|kind| fault != Fault::Nothing && !of_kind(kind));
    let skipped: Vec<_> = skipped.map(|kind| format!("server/{kind}*")).collect();
    let skipped = skipped.iter().flat_map(|glob| ["--skip", glob]);
    let words = ["server", "--timeout", seconds, "127.0.0.1", &port];
    let words: Vec<_> = words.into_iter().chain(skipped).collect();
    unlike(cases, "server", &format!("{fault:?}"), report(&words))
}

#[test]
fn what_is_wrong_with_a_program_is_found() {
    for (fault, cases) in PROGRAMS {
        let command = command(*fault);
        let only = ["silent-*", "sig*", "stop-*"].map(|glob| format!("server/running/{glob}"));
        let only = only.iter().flat_map(|glob| ["--only", glob]);
        let words = ["server"].into_iter().chain(only).chain(["--"]);
        let words: Vec<_> = words.chain(command.iter().map(String::as_str)).collect();
        let (_, report) = report(&words);
        let cases: Vec<_> = cases.iter().map(|name| format!("server/running/{name}")).collect();
        assert_eq!(failed(&report), cases, "{fault:?}\n{}", trouble(&report));
    }
}

#[test]
fn the_table_has_many_faults_and_each_once() {
    assert!(TABLE.len() > 60);
    for (at, (fault, _)) in TABLE.iter().enumerate() {
        assert!(TABLE[..at].iter().all(|(other, _)| other != fault), "{fault:?}");
    }
}

#[test]
fn what_is_wrong_with_lines_and_states_is_found() {
    find(TABLE[..30].iter());
}

#[test]
fn what_is_wrong_with_names_and_rooms_is_found() {
    find(TABLE[30..56].iter());
}

#[test]
fn what_is_wrong_with_deliveries_and_strangers_is_found() {
    find(TABLE[56..82].iter());
}

#[test]
fn what_is_wrong_with_those_who_come_again_or_late_is_found() {
    find(TABLE[82..].iter());
}
