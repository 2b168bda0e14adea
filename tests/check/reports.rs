//! Reports: each form says the same of the same server.

use serde_json::Value;

use crate::fault::Fault;
use crate::faulty_server::start;
use crate::run::check;

/// What is said, in this form, of a server that trims texts: one of seven cases fails, and one is
/// skipped.
fn told(words: &[&str]) -> String {
    let server = start(Fault::TextTrimmed);
    let port = server.port.to_string();
    let only = [
        "--only",
        "server/texts/*",
        "--only",
        "*/records",
        "--skip",
        "*longest*",
        "--skip",
        "*carriage*",
        "--skip",
        "*like-a-line",
    ];
    let finished = check(&[&["server", "127.0.0.1", &port], &only[..], words].concat());
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(
        String::from_utf8_lossy(&finished.stderr),
        "check: 1 of 8 cases failed, and 0 could not be tried\n"
    );
    String::from_utf8(finished.stdout).unwrap()
}

#[test]
fn people_see_what_was_sent_what_was_expected_and_what_came() {
    let text = told(&[]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..2],
        ["fail  server/texts/spaces", "      White space around a text is part of it."]
    );
    assert!(text.contains(" sends  \"sendall: before\\n\"\n"), "{text}");
    assert!(text.contains("      expected   \"delivery:cafe"), "{text}");
    assert!(text.contains(": before\\n\"\n      but came   \"delivery:cafe"), "{text}");
    assert!(text.contains("skip  server/history/records: the server does not offer +history\n"));
    assert!(
        text.ends_with("server, profile full: 6 passed, 1 failed, 1 skipped of 8 cases\n"),
        "{text}"
    );
    assert!(!text.contains('\x1b') && !text.contains("server/texts/nul"), "{text}");
    let verbose = told(&["-v"]);
    assert!(verbose.contains("pass  server/texts/nul\n"), "{verbose}");
    assert!(!told(&["-q"]).contains("skip  "), "{text}");
}

#[test]
fn tap_has_a_plan_and_a_line_for_each_case() {
    let text = told(&["--format", "tap"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..3], ["TAP version 13", "1..8", "ok 1 - server/texts/plain"]);
    let number = |line: &&str| {
        line.trim_start_matches("not ").strip_prefix("ok ")?.split(' ').next()?.parse().ok()
    };
    let numbers: Vec<usize> = lines.iter().filter_map(number).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    assert!(text.contains("\nnot ok 3 - server/texts/spaces\n  ---\n  asks: 'White"), "{text}");
    assert!(text.contains("ok 8 - server/history/records # SKIP the server does not"), "{text}");
    assert_eq!(text.matches("\n  ...\n").count(), 1);
}

#[test]
fn json_has_all_of_it() {
    let json: Value = serde_json::from_str(&told(&["--format", "json"])).unwrap();
    for (name, number) in [("passed", 6), ("failed", 1), ("errors", 0), ("skipped", 1)] {
        assert_eq!(json[name], number, "{name}");
    }
    assert_eq!((json["what"].as_str(), json["profile"].as_str()), (Some("server"), Some("full")));
    let cases = json["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["verdict"] == "fail").unwrap();
    assert_eq!(case["id"], "server/texts/spaces");
    assert_eq!(case["timed_out"], false);
    for (field, part) in [("expected", ": before\\n"), ("came", ":before\\n"), ("asks", "White")] {
        assert!(case[field].as_str().unwrap().contains(part), "{case}");
    }
    let story = case["story"].as_array().unwrap();
    assert!(story.iter().any(|told| told[1] == "\"sendall: before\\n\""), "{case}");
}

/// Tags are closed in order, and what is between them has no `<` or bare `&`.
fn assert_well_formed(xml: &str) {
    let (_, mut rest) = xml.split_once("?>\n").unwrap();
    let mut open = Vec::new();
    while let Some((text, after)) = rest.split_once('<') {
        for part in text.split('&').skip(1) {
            let entity = part.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot"].contains(&entity), "{text}");
        }
        let (tag, after) = after.split_once('>').unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = after;
    }
    assert!(open.is_empty() && rest == "\n", "{open:?}");
}

#[test]
fn junit_is_well_formed_and_counts() {
    let xml = told(&["--format", "junit"]);
    assert_well_formed(&xml);
    assert!(xml.contains(
        "<testsuite name=\"server\" tests=\"8\" failures=\"1\" errors=\"0\" skipped=\"1\""
    ));
    assert_eq!(xml.matches("<testcase ").count(), 8);
    assert!(xml.contains("<testcase classname=\"server.texts\" name=\"spaces\" time=\""), "{xml}");
    assert!(
        xml.contains("<failure message=\"White space around a text is part of it.\">"),
        "{xml}"
    );
    assert!(xml.contains("<skipped message=\"the server does not offer +history\"/>"), "{xml}");
    assert!(xml.contains("&quot;sendall: before\\n&quot;"), "{xml}");
}

#[test]
fn gradescope_gets_tests_with_scores() {
    let json: Value =
        serde_json::from_str(&told(&["--format", "gradescope", "--points", "7"])).unwrap();
    assert_eq!(json["stdout_visibility"], "hidden");
    let tests = json["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 8);
    let sum = |field: &str| tests.iter().map(|test| test[field].as_f64().unwrap()).sum::<f64>();
    assert!((sum("max_score") - 7.0).abs() < 1e-6, "{json}");
    assert!((sum("score") - 6.0).abs() < 1e-6, "{json}");
    for test in tests {
        let failed = test["name"] == "server/texts/spaces";
        assert_eq!(test["status"], if failed { "failed" } else { "passed" }, "{test}");
        assert_eq!(test["score"] == test["max_score"], !failed, "{test}");
        assert!(
            test["output"].as_str().unwrap().contains(test["name"].as_str().unwrap()),
            "{test}"
        );
    }
}

#[test]
fn gradescope_may_have_a_test_for_each_group() {
    let words = ["--format", "gradescope", "--group"];
    let json: Value = serde_json::from_str(&told(&words)).unwrap();
    let tests = json["tests"].as_array().unwrap();
    let names: Vec<_> = tests.iter().map(|test| test["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["server/texts", "server/history"]);
    let scores = |at: usize| {
        (tests[at]["score"].as_f64().unwrap(), tests[at]["max_score"].as_f64().unwrap())
    };
    assert_eq!((scores(0), scores(1)), ((85.71, 100.0), (0.0, 0.0)));
    let output = tests[0]["output"].as_str().unwrap();
    assert!(
        output.contains("fail: server/texts/spaces") && output.contains("but came"),
        "{output}"
    );
}
