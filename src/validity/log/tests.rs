//! What the log promises, one thread at a time.

use super::super::facts::Purged;
use super::super::subject::Group;
use super::*;

const GROUP: Group<'static> = Group { origin: "http://a.example:81", name: "g" };
const SUBJECTS: Subjects<'static> =
    Subjects { host: "a.example", url: "a.example:81/x", tags: &["t", "u", "t"], groups: &[GROUP] };

fn hard(subject: Subject<'_>) -> Fact<'_> {
    Fact { subject, kind: Kind::Hard }
}

fn soft(subject: Subject<'_>) -> Fact<'_> {
    Fact { subject, kind: Kind::Soft }
}

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn stored(log: &Log) -> (Marks, Stamp) {
    let sent = log.published();
    (log.intern(&SUBJECTS, sent).unwrap(), Stamp::new(sent))
}

#[test]
fn a_hard_purge_kills_what_was_asked_for_before_and_nothing_after() {
    for subject in [
        Subject::Url("a.example:81/x"),
        Subject::Url("a.example/x"),
        Subject::Host("a.example"),
        Subject::Host("a.example:81"),
        Subject::Prefix("a.example:81/"),
        Subject::Prefix("a.example/x"),
        Subject::Tag("u"),
        Subject::Group(GROUP),
        Subject::Everything,
    ] {
        let log = Log::new();
        let (marks, before) = stored(&log);
        assert!(log.check(&marks, &before).is_some());
        let number = log.publish(&[hard(subject)], at(1));
        assert_eq!(number.get(), 1);
        assert!(log.check(&marks, &before).is_none(), "{subject:?}");
        let (marks, after) = stored(&log);
        assert!(log.check(&marks, &after).is_some(), "{subject:?}");
    }
}

#[test]
fn a_purge_of_something_else_leaves_it_alone() {
    let log = Log::new();
    let (marks, stamp) = stored(&log);
    for subject in [
        Subject::Url("a.example:81/x/"),
        Subject::Url("a.example:82/x"),
        Subject::Url("t"),
        Subject::Host("a.example:82"),
        Subject::Host("t"),
        Subject::Prefix("a.example/x/"),
        Subject::Prefix("a.example:82/"),
        Subject::Prefix("t"),
        Subject::Tag("a.example"),
        Subject::Tag("T"),
        Subject::Group(Group { origin: "http://a.example", name: "g" }),
    ] {
        log.publish(&[hard(subject), soft(subject)], at(1));
    }
    assert_eq!(log.check(&marks, &stamp).unwrap().softened(), None);
}

/// Kills: only what the last publication has touched looked at.
#[test]
fn a_purge_is_found_though_others_came_since() {
    for subject in [Subject::Tag("t"), Subject::Url("a.example:81/x"), Subject::Everything] {
        let log = Log::new();
        let (marks, stamp) = stored(&log);
        assert!(log.check(&marks, &stamp).is_some());
        log.publish(&[hard(subject)], at(1));
        log.publish(&[hard(Subject::Tag("elsewhere"))], at(2));
        assert!(log.check(&marks, &stamp).is_none(), "{subject:?}");
    }
}

#[test]
fn a_purge_of_several_has_one_number() {
    let log = Log::new();
    let (marks, stamp) = stored(&log);
    let number = log.publish(&[hard(Subject::Tag("elsewhere")), hard(Subject::Tag("u"))], at(1));
    assert_eq!((number.get(), log.published().get()), (1, 1));
    assert!(log.check(&marks, &stamp).is_none());
}

#[test]
fn a_304_clears_a_soft_purge_and_no_hard_one() {
    let log = Log::new();
    let (marks, stamp) = stored(&log);
    log.publish(&[soft(Subject::Tag("t"))], at(5));
    assert_eq!(log.check(&marks, &stamp).unwrap().softened(), Some(at(5)));
    let validated = stamp.revalidated(log.published());
    assert_eq!(log.check(&marks, &validated).unwrap().softened(), None);
    log.publish(&[hard(Subject::Tag("t"))], at(6));
    assert!(log.check(&marks, &validated.revalidated(log.published())).is_none());
}

#[test]
fn staleness_counts_from_the_first_soft_purge_that_was_seen() {
    let log = Log::new();
    let (marks, stamp) = stored(&log);
    log.publish(&[soft(Subject::Tag("t"))], at(5));
    log.check(&marks, &stamp);
    log.publish(&[soft(Subject::Tag("t")), soft(Subject::Host("a.example"))], at(9));
    assert_eq!(log.check(&marks, &stamp).unwrap().softened(), Some(at(5)));
    assert_eq!(log.check(&marks, &stamp).unwrap().softened(), Some(at(5)), "from memory, too");
}

#[test]
fn both_the_old_and_the_new_tags_of_a_304_count() {
    let log = Log::new();
    let (old, stamp) = stored(&log);
    let sent = log.published();
    let new = log.intern(&Subjects { tags: &["new"], ..SUBJECTS }, sent).unwrap();
    let (both, stamp) = (old.union(&new), stamp.revalidated(sent));
    assert!(log.check(&both, &stamp).is_some());
    for tag in ["u", "new"] {
        log.publish(&[soft(Subject::Tag(tag))], at(7));
        assert!(log.check(&both, &stamp).unwrap().softened().is_some(), "{tag}");
    }
}

#[test]
fn an_own_purge_tells_whether_another_came_before() {
    let log = Log::new();
    let (marks, stamp) = stored(&log);
    let own = [hard(Subject::Url("a.example:81/x"))];
    let (number, alive) = log.publish_own(&own, at(1), &marks, &stamp);
    assert!(alive, "its own fact does not count");
    assert!(log.check(&marks, &Stamp::new(number)).is_some());
    assert!(!log.publish_own(&own, at(2), &marks, &stamp).1, "now it is dead");
    let (marks, stamp) = stored(&log);
    log.publish(&[soft(Subject::Tag("t"))], at(3));
    assert!(!log.publish_own(&own, at(4), &marks, &stamp).1, "its number would hide the soft purge");
}

#[test]
fn a_purge_concerns_what_was_asked_for_before_it() {
    let log = Log::new();
    let before = log.published();
    assert!(!log.concerns(&SUBJECTS, before));
    log.publish(&[hard(Subject::Tag("elsewhere")), soft(Subject::Tag("t"))], at(1));
    assert!(!log.concerns(&SUBJECTS, before), "of something else, or soft");
    for subject in [
        Subject::Host("a.example:81"),
        Subject::Group(GROUP),
        Subject::Prefix("a.example/"),
        Subject::Everything,
    ] {
        let before = log.published();
        log.publish(&[hard(subject)], at(1));
        assert!(log.concerns(&SUBJECTS, before), "{subject:?}");
        assert!(!log.concerns(&SUBJECTS, log.published()), "{subject:?}");
    }
    assert!(log.concerns(&SUBJECTS, before));
    let cells = log.figures().cells;
    log.concerns(&Subjects::address("b.example", "b.example/"), before);
    assert_eq!(log.figures().cells, cells, "asking makes no cells");
}

#[test]
fn what_was_forgotten_concerns() {
    let log = Log::new();
    let before = log.published();
    log.publish(&[hard(Subject::Tag("t"))], at(1));
    log.sweep();
    log.sweep();
    assert!(log.concerns(&SUBJECTS, before));
    assert!(!log.concerns(&Subjects { tags: &[], ..SUBJECTS }, before));
}

#[test]
fn repeated_names_are_held_once() {
    let (marks, _) = stored(&Log::new());
    // Two URLs, two hosts (with and without the port), two tags, a group, and everything.
    assert_eq!(marks.len(), 8);
}

#[test]
fn facts_are_kept_for_a_whole_sweep_then_older_flights_are_turned_away() {
    let log = Log::new();
    let sent = log.published();
    log.publish(&[hard(Subject::Tag("t"))], at(1));
    log.sweep();
    let marks = log.intern(&SUBJECTS, sent).unwrap();
    assert!(log.check(&marks, &Stamp::new(sent)).is_none(), "the fact is still known");
    drop(marks);
    log.sweep();
    assert!(log.intern(&SUBJECTS, sent).is_none());
    assert!(log.intern(&Subjects::address("a.example", "a.example/"), sent).is_some(), "no tag, no doubt");
    assert!(log.intern(&SUBJECTS, log.published()).is_some());
}

#[test]
fn the_log_stays_bounded_whatever_is_purged() {
    let log = Log::new();
    for i in 0..=MANY_CELLS {
        log.publish(&[hard(Subject::Url(&format!("a.example/{i}")))], at(1));
    }
    assert!(log.is_crowded());
    log.sweep();
    assert!(log.is_crowded(), "they are young yet");
    log.sweep();
    assert!(!log.is_crowded());
    assert_eq!(log.figures(), Figures::default());
}

/// Distinct URLs as long as they come: few, and many bytes all the same.
fn long_urls() -> impl Iterator<Item = String> {
    let url = |i: usize| format!("a.example/{i:/<8192}");
    (0..3_000).map(url)
}

#[test]
fn the_log_stays_bounded_however_long_the_names_are() {
    let log = Log::new();
    for url in long_urls() {
        log.publish(&[hard(Subject::Url(&url))], at(1));
    }
    assert!(log.figures().cells < MANY_CELLS && log.is_crowded());
    log.sweep();
    log.sweep();
    assert!(!log.is_crowded());
    assert_eq!(log.figures(), Figures::default());
}

#[test]
fn long_names_that_are_held_are_no_crowd() {
    let log = Log::new();
    let intern = |url: String| log.intern(&Subjects::address("a.example", &url), log.published()).unwrap();
    let held: Vec<Marks> = long_urls().map(intern).collect();
    assert!(log.is_crowded(), "nobody has looked yet who holds them");
    log.sweep();
    assert!(!log.is_crowded());
    drop(held);
    log.sweep();
    assert_eq!(log.figures(), Figures::default());
}

#[test]
fn what_a_response_holds_is_not_forgotten() {
    let log = Log::new();
    let (marks, stamp) = stored(&log);
    log.publish(&[hard(Subject::Tag("t"))], at(1));
    for _ in 0..3 {
        log.sweep();
    }
    assert!(log.check(&marks, &stamp).is_none());
    drop(marks);
    log.sweep();
    assert_eq!(log.figures().cells, 0);
}

#[test]
fn a_304_clears_a_soft_purge_by_prefix() {
    let log = Log::new();
    let (marks, stamp) = stored(&log);
    log.publish(&[soft(Subject::Prefix("a.example/"))], at(5));
    for _ in 0..3 {
        assert_eq!(log.check(&marks, &stamp).unwrap().softened(), Some(at(5)));
        log.sweep();
    }
    let validated = stamp.revalidated(log.published());
    assert_eq!(log.check(&marks, &validated).unwrap().softened(), None);
}

#[test]
fn a_purge_by_prefix_is_not_forgotten_by_what_was_not_looked_at_since() {
    let log = Log::new();
    let (marks, stamp) = stored(&log);
    let other = log.intern(&Subjects::address("a.example", "a.example/y"), log.published()).unwrap();
    log.publish(&[hard(Subject::Prefix("a.example/x"))], at(1));
    let nodes = log.figures().cells;
    for _ in 0..3 {
        log.sweep();
    }
    assert!(log.figures().cells < nodes, "the prefix is forgotten");
    assert!(log.check(&marks, &stamp).is_none());
    assert!(log.check(&other, &stamp).is_some(), "and nothing else is dead for it");
}

#[test]
fn a_flight_from_before_a_forgotten_prefix_is_turned_away() {
    let log = Log::new();
    let sent = log.published();
    log.publish(&[hard(Subject::Prefix("b.example/"))], at(1));
    log.sweep();
    assert!(log.intern(&SUBJECTS, sent).is_some(), "the prefix is known yet, and not this one's");
    log.sweep();
    assert!(log.intern(&SUBJECTS, sent).is_none());
    assert!(log.concerns(&SUBJECTS, sent));
    let (marks, stamp) = stored(&log);
    assert!(log.check(&marks, &stamp).is_some());
}

/// The first to come makes the cell anew, and the second, who was sent before, finds it.
#[test]
fn a_cell_made_after_forgetting_does_not_vouch_for_older_flights() {
    for subject in [Subject::Tag("t"), Subject::Prefix("a.example/x"), Subject::Url("a.example:81/x")] {
        let log = Log::new();
        let sent = log.published();
        log.publish(&[hard(subject)], at(1));
        log.sweep();
        log.sweep();
        let (young, stamp) = stored(&log);
        assert!(log.check(&young, &stamp).is_some());
        assert!(log.concerns(&SUBJECTS, sent), "{subject:?}");
        let alive = log.intern(&SUBJECTS, sent).and_then(|marks| log.check(&marks, &Stamp::new(sent)));
        assert!(alive.is_none(), "{subject:?}");
    }
}

#[test]
fn a_tally_counts_what_is_held_under_every_subject_it_answers_to() {
    let log = Log::new();
    let (marks, _) = stored(&log);
    marks.hold(100);
    let number = log.publish(&[soft(Subject::Tag("t"))], at(3));
    let counted = Tally { entries: 1, bytes: 0, purged: None };
    for subject in [
        Subject::Url("a.example:81/x"),
        Subject::Url("a.example/x"),
        Subject::Host("a.example"),
        Subject::Group(GROUP),
        Subject::Everything,
    ] {
        assert_eq!(log.tally(subject), Some(counted), "{subject:?}");
    }
    let purged = Some(Purged { sequence: number, at: at(3) });
    assert_eq!(
        log.tally(Subject::Tag("t")),
        Some(Tally { purged, bytes: 100, ..counted }),
        "bytes of tags only"
    );
    assert_eq!(log.tally(Subject::Tag("elsewhere")), Some(Tally::default()));
    assert_eq!(log.tally(Subject::Prefix("a.example/")), None);
    assert_eq!(marks.tags().collect::<Vec<_>>(), ["t", "u"]);
    marks.let_go(100);
    assert_eq!(log.tally(Subject::Host("a.example")), Some(Tally::default()));
}

#[test]
fn the_top_tags_are_those_that_most_carry() {
    let log = Log::new();
    let held = [&["a", "b"][..], &["b"], &["c"]]
        .map(|tags| log.intern(&Subjects { tags, ..SUBJECTS }, log.published()).unwrap());
    held.iter().for_each(|marks| marks.hold(10));
    let top = log.top_tags(2);
    assert_eq!(
        top.iter().map(|(tag, tally)| (tag.as_str(), tally.entries, tally.bytes)).collect::<Vec<_>>(),
        [("b", 2, 20), ("a", 1, 10)]
    );
    held.iter().for_each(|marks| marks.let_go(10));
    assert_eq!(log.top_tags(2), []);
}

#[test]
fn a_selector_selects_what_a_fact_would_speak_of() {
    let log = Log::new();
    let (marks, _) = stored(&log);
    let other = log.intern(&Subjects::address("b.example", "b.example/"), log.published()).unwrap();
    for subject in [
        Subject::Url("a.example/x"),
        Subject::Host("a.example:81"),
        Subject::Prefix("a.example/"),
        Subject::Tag("u"),
        Subject::Group(GROUP),
    ] {
        let selector = log.selector(subject);
        assert!(selector.selects(&marks) && !selector.selects(&other), "{subject:?}");
    }
    assert!(log.selector(Subject::Everything).selects(&other));
    assert!(!log.selector(Subject::Tag("elsewhere")).selects(&marks));
    assert!(!log.selector(Subject::Prefix("t")).selects(&marks), "which is a tag");
}
