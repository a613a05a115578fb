//! Answers as the documentation of others shows them.

use std::{fs, path::PathBuf};

use tower_multistatus::inspect::{Code, Outcome, Report, Shape};

use super::{codes_of, inspected};

pub(super) fn samples() -> Vec<(String, Vec<u8>)> {
    let place = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples"));
    let mut files: Vec<_> = fs::read_dir(place).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

fn sample(name: &str) -> Report {
    inspected(samples().into_iter().find(|sample| sample.0 == name).unwrap().1)
}

#[test]
fn answers_of_others_are_understood() {
    let told = samples().into_iter().map(|(name, sample)| {
        let report = inspected(sample);
        let contents = report.contents().unwrap_or_else(|| panic!("{name}: {report}"));
        let codes = codes_of(&report);
        (name, contents.shape, contents.total, contents.failed, codes, report.exit_code())
    });
    let expected = [
        ("facebook", Shape::List, 2, 1, vec![Code::FailuresHidden], 2),
        ("google-multipart", Shape::Multipart, 4, 1, vec![Code::FailuresInside], 1),
        ("microsoft-graph", Shape::Responses, 5, 2, vec![Code::FailuresInside], 1),
        ("mod-dav-propfind", Shape::Multistatus, 2, 0, vec![Code::NoCacheControl], 0),
        ("nextcloud-propfind", Shape::Multistatus, 2, 0, vec![], 0),
        ("odata-json", Shape::Responses, 4, 1, vec![Code::FailuresInside], 1),
        ("odata-multipart", Shape::Multipart, 4, 1, vec![Code::FailuresInside], 1),
        ("rfc4918-delete", Shape::Multistatus, 1, 1, vec![Code::NoCacheControl, Code::AllFailed], 1),
        ("rfc4918-proppatch", Shape::Multistatus, 1, 1, vec![Code::NoCacheControl, Code::AllFailed], 1),
        ("sabredav-propfind", Shape::Multistatus, 2, 0, vec![Code::NoCacheControl], 0),
        ("wordpress-validation", Shape::WordPress, 2, 1, vec![], 1),
        ("wordpress", Shape::WordPress, 2, 1, vec![], 1),
        ("zalando", Shape::List, 2, 1, vec![Code::StatusAsText], 2),
    ];
    let expected =
        expected.map(|(name, shape, total, failed, codes, exit)| (name.to_owned(), shape, total, failed, codes, exit));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn failures_say_why() {
    for (name, place, id, failure) in [
        ("facebook", 1, None, "Unknown path components: /nowhere"),
        (
            "google-multipart",
            3,
            Some("<response-item4:12930812@barnyard.example.com>"),
            "Requested entity was not found.",
        ),
        ("microsoft-graph", 1, Some("3"), "Insufficient permissions"),
        ("odata-json", 3, Some("3"), "Product not found"),
        ("odata-multipart", 3, None, "<error xmlns=\"http://docs.oasis-open.org/odata/ns/metadata\"></err>"),
        ("rfc4918-delete", 0, None, "lock-token-submitted"),
        ("wordpress", 1, None, "Sorry, you are not allowed to create posts as this user."),
        ("zalando", 1, Some("b"), "Conflict"),
    ] {
        let report = sample(name);
        let item = &report.contents().unwrap().items[place];
        assert_eq!((item.id.as_deref(), item.failure.as_deref()), (id, Some(failure)), "{name}");
    }
}

#[test]
fn a_property_that_is_not_there_is_no_failure_of_its_resource() {
    let report = sample("nextcloud-propfind");
    let items = &report.contents().unwrap().items;
    assert_eq!(items[0].href.as_deref(), Some("/remote.php/dav/files/ada/"));
    let properties: Vec<_> = items[0].properties.iter().map(|those| (those.status, those.count)).collect();
    assert_eq!(properties, [(Some(200), 6), (Some(404), 2)]);
    assert_eq!(items[0].properties[1].names, ["getcontentlength", "getcontenttype"]);
    assert_eq!((items[0].status, items[0].outcome()), (None, Outcome::Succeeded));

    let report = sample("rfc4918-proppatch");
    let item = &report.contents().unwrap().items[0];
    assert_eq!(item.outcome(), Outcome::Failed);
    assert!(item.failure.as_deref().unwrap().starts_with("Copyright Owner cannot be deleted"));
}

#[test]
fn what_was_not_carried_out_has_no_status() {
    let report = sample("wordpress-validation");
    let contents = report.contents().unwrap();
    assert_eq!((contents.items[0].status, contents.unknown()), (None, 1));
}
