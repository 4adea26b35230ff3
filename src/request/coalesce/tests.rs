use super::client::Client;
use super::*;
use crate::clock::Moment;
use crate::validity::{Fact, Kind, Log, Subject};

fn id(range: Option<&'static str>) -> FlightId {
    let key = CacheKey::of("http", "a.test", "/");
    FlightId { key, variant: Box::default(), range: range.map(HeaderValue::from_static), authorized: false }
}

fn join(flights: &Arc<Flights>, client: &Client) -> Seat {
    flights.join(id(None), client)
}

fn leads(seat: Seat) -> Obligation {
    match seat {
        Seat::Lead(obligation) => obligation,
        Seat::Follow(_) => panic!("it follows"),
    }
}

fn follows(seat: Seat) -> Waiter {
    match seat {
        Seat::Follow(waiter) => waiter,
        Seat::Lead(_) => panic!("it leads"),
    }
}

fn client() -> Client {
    Client { since: Log::new().published() }
}

/// The current verdict, without waiting.
fn verdict(waiter: &Waiter) -> Option<Verdict> {
    waiter.told()
}

#[test]
fn one_goes_and_the_others_wait_for_the_same() {
    let flights = Flights::new();
    let lead = leads(join(&flights, &client()));
    let waiters: Vec<Waiter> = (0..3).map(|_| follows(join(&flights, &client()))).collect();
    leads(flights.join(id(Some("bytes=0-4")), &client()));
    lead.settle(Verdict::Released("no-store"));
    for waiter in &waiters {
        assert!(matches!(verdict(waiter), Some(Verdict::Released("no-store"))));
    }
    leads(join(&flights, &client()));
}

/// Cancelled or panicked: whoever holds the obligation may be gone, those who wait are not left alone.
#[test]
fn an_obligation_that_is_dropped_wakes_all_and_promotes_one() {
    for panics in [false, true] {
        let flights = Flights::new();
        let lead = leads(join(&flights, &client()));
        let waiters: Vec<Waiter> = (0..3).map(|_| follows(join(&flights, &client()))).collect();
        let gone = std::thread::spawn(move || {
            let _lead = lead;
            assert!(!panics, "this panic is meant");
        });
        assert_eq!(gone.join().is_err(), panics);
        for waiter in &waiters {
            assert!(matches!(verdict(waiter), Some(Verdict::Abandoned)));
        }
        let again: Vec<Seat> = waiters.iter().map(|_| join(&flights, &client())).collect();
        let leaders = again.iter().filter(|seat| matches!(seat, Seat::Lead(_)));
        assert_eq!(leaders.count(), 1);
    }
}

#[test]
fn a_verdict_stays_when_its_obligation_goes() {
    let flights = Flights::new();
    let lead = leads(join(&flights, &client()));
    let waiter = follows(join(&flights, &client()));
    lead.settle(Verdict::Released("no-store"));
    drop(lead);
    assert!(matches!(verdict(&waiter), Some(Verdict::Released("no-store"))));
}

#[test]
fn a_dead_flight_yields_its_slot_and_does_not_clear_that_of_its_successor() {
    let (flights, log) = (Flights::new(), Log::new());
    let before = Client { since: log.published() };
    let old = leads(join(&flights, &before));
    log.publish(&[Fact { subject: Subject::Everything, kind: Kind::Hard }], Moment::from_nanos(1));
    let after = Client { since: log.published() };
    let new = leads(join(&flights, &after));
    drop(old);
    follows(join(&flights, &after));
    drop(new);
    leads(join(&flights, &after));
}
