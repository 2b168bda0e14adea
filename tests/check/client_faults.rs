//! Clients with one fault each, and the cases that find it.

use crate::faulty_client::command;
use crate::run::{assert_right, report, unlike};

/// Which client, each fault of it, and the cases that fail of it. No others do.
const TABLE: &[(&str, &str, &[&str])] = &[
    ("sender", "None", &[]),
    ("sender", "TooManyTaken", &["calling/too-many-arguments"]),
    (
        "sender",
        "UsageIsOne",
        &["calling/no-arguments", "calling/too-few-arguments", "calling/too-many-arguments"],
    ),
    ("sender", "BadPortPanics", &["calling/bad-port"]),
    ("sender", "RefusedIsUsage", &["calling/no-host", "calling/refused"]),
    ("sender", "RefusedIsFine", &["calling/no-host", "calling/refused"]),
    ("sender", "StrangeLoginHangs", &["login/strange-answer"]),
    ("sender", "ReasonOnBoth", &["login/refused"]),
    ("sender", "EmptyReasonSilent", &["login/reason-of-bytes"]),
    ("sender", "EmptyOkAborts", &["login/empty-ok"]),
    ("sender", "OkayTaken", &["answers/strange", "login/strange-answer"]),
    ("sender", "CrKept", &["answers/err-crlf", "login/reason-crlf"]),
    ("sender", "HalfLineTaken", &["answers/in-pieces"]),
    ("sender", "DoesNotWait", &["ending/server-reset", "texts/waits"]),
    ("sender", "NotTrimmed", &["texts/empty", "texts/trimmed"]),
    ("sender", "EmptySent", &["texts/empty"]),
    ("sender", "PercentLost", &["answers/err-of-bytes", "texts/odd"]),
    ("sender", "LimitTooLow", &["commands/two-slashes", "texts/longest", "texts/trimmed"]),
    ("sender", "LimitBeforeTrim", &["texts/trimmed"]),
    ("sender", "SlashesUnlimited", &["texts/too-long"]),
    ("sender", "RepeatedDropped", &["texts/odd"]),
    ("sender", "CrsStripped", &["texts/bytes"]),
    ("sender", "LongCut", &["texts/too-long"]),
    ("sender", "LastLineDropped", &["texts/no-end"]),
    ("sender", "Utf8Repaired", &["texts/bytes"]),
    ("sender", "JoinNowhere", &["commands/join-nowhere"]),
    ("sender", "JoinFirst", &["commands/join-two"]),
    ("sender", "LongJoinSent", &["commands/join-long"]),
    ("sender", "SlashIgnored", &["commands/unknown"]),
    ("sender", "SlashesKept", &["commands/two-slashes"]),
    ("sender", "CommandsSaid", &["commands/no-space", "commands/unknown"]),
    ("sender", "ReasonCut", &["answers/err"]),
    ("sender", "ReasonTrimmed", &["answers/err-of-bytes"]),
    ("sender", "LongReasonCut", &["answers/very-long-err"]),
    ("sender", "StrangeTaken", &["answers/strange"]),
    ("sender", "OkPrinted", &["answers/silent-stdout", "answers/silent-terminal"]),
    ("sender", "Prompts", &["answers/silent-stdout", "answers/silent-terminal"]),
    ("sender", "PromptsAtTerminal", &["answers/silent-terminal"]),
    ("sender", "QuitHangs", &["ending/quit-closed"]),
    ("sender", "QuitDoesNotWait", &["ending/quit-err", "ending/quit-waits"]),
    ("sender", "EndsUnanswered", &["ending/last-answer", "ending/no-end", "ending/server-reset"]),
    (
        "sender",
        "GoneIsSilent",
        &["ending/server-gone", "ending/server-gone-before", "ending/server-reset"],
    ),
    ("sender", "LastLineLost", &["ending/no-end", "login/no-end"]),
    (
        "sender",
        "FailsAtEnd",
        &["ending/end-of-input", "ending/last-answer", "ending/nothing-to-say"],
    ),
    ("sender", "QuitByPrefix", &["commands/no-space"]),
    ("sender", "ThirdErrStops", &["answers/many-errs"]),
    ("receiver", "None", &[]),
    ("receiver", "Polls", &[]),
    ("receiver", "RoomChecked", &[]),
    ("receiver", "TakesAll", &[]),
    ("receiver", "JoinsAtOnce", &["login/waits"]),
    ("receiver", "EmptyOkAborts", &["login/empty-ok"]),
    ("receiver", "OkayTaken", &["joining/strange-answer", "login/strange-answer"]),
    ("receiver", "ReasonOnBoth", &["joining/refused", "login/refused"]),
    ("receiver", "JoinRefusedIsFine", &["joining/refused"]),
    ("receiver", "SaysMore", &["joining/quiet"]),
    ("receiver", "DropsBehindOk", &["printing/early"]),
    ("receiver", "NotFlushed", &["printing/at-once"]),
    ("receiver", "WarnsOfTen", &["printing/quiet"]),
    ("receiver", "PercentLost", &["printing/percent"]),
    ("receiver", "ColonStops", &["printing/colons"]),
    ("receiver", "TextTrimmed", &["printing/carriage-returns", "printing/spaces"]),
    ("receiver", "TextRepaired", &["printing/bytes"]),
    ("receiver", "NulCuts", &["printing/nul"]),
    ("receiver", "Cut255", &["printing/long"]),
    ("receiver", "EmptyDropped", &["printing/empty"]),
    ("receiver", "RepeatedDropped", &["printing/several"]),
    ("receiver", "NamesChecked", &["printing/senders-name"]),
    ("receiver", "CommandsObeyed", &["printing/like-a-line"]),
    ("receiver", "OwnNameDropped", &["printing/own-name"]),
    ("receiver", "ColoursAtTerminal", &["printing/terminal"]),
    ("receiver", "CrsStripped", &["printing/carriage-returns"]),
    ("receiver", "CrKept", &["login/reason-crlf", "printing/carriage-returns", "printing/crlf"]),
    ("receiver", "NoColonAborts", &["strange/bytes", "strange/empty-line", "strange/no-colon"]),
    ("receiver", "CutDeliveryAborts", &["strange/cut-delivery"]),
    ("receiver", "LongDropped", &["strange/too-long"]),
    (
        "receiver",
        "UnknownIsSilent",
        &["strange/late-err", "strange/late-ok", "strange/unknown-tag"],
    ),
    ("receiver", "IgnoresSigint", &["ending/sigint"]),
    ("receiver", "ReadsInput", &["ending/not-before"]),
    ("receiver", "GoneIsFine", &["ending/no-end", "ending/server-gone", "ending/server-reset"]),
    ("receiver", "GoneIsSilent", &["ending/no-end", "ending/server-gone", "ending/server-reset"]),
    ("receiver", "LastLineLost", &["ending/no-end", "login/no-end"]),
];

/// The rows of one of the clients.
fn find(client: &str) {
    assert_right(
        TABLE.iter().filter(|(kind, ..)| *kind == client),
        |(kind, fault, cases), seconds| {
            let command = command(kind, fault);
            let words: Vec<_> = command.iter().map(String::as_str).collect();
            let words = [&[kind, "--timeout", seconds, "--"], &words[..]].concat();
            unlike(cases, kind, fault, report(&words))
        },
    );
}

#[test]
fn what_is_wrong_with_a_sender_is_found() {
    find("sender");
}

#[test]
fn what_is_wrong_with_a_receiver_is_found() {
    find("receiver");
}
