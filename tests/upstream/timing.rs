//! Whose delay counts against whom.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use larder::config::Upstream;
use larder::upstream::{BodyFailure, Failure, RequestBody};
use tokio::time::{sleep, timeout};

use crate::origin::Origin;
use crate::pipe::{Feed, pipe};
use crate::rig::{config, get, read, request, send, text, upstreams};

const SHORT: Duration = Duration::from_millis(200);

/// Reads requests and says nothing; the other end is told when the connection is given up.
fn silent() -> (Origin, std::sync::mpsc::Receiver<()>) {
    let (ended, ending) = channel();
    let ended = Mutex::new(ended);
    let origin = Origin::start(move |mut connection, _| {
        connection.head();
        connection.wait_for_end();
        ended.lock().unwrap().send(()).unwrap();
    });
    (origin, ending)
}

fn upload() -> (Feed, Request<RequestBody>) {
    let (feed, body) = pipe();
    let mut request = request("POST", "/up");
    *request.body_mut() = RequestBody::stream(body);
    (feed, request)
}

#[tokio::test]
async fn an_origin_has_so_long_to_begin_and_then_loses_its_connection() {
    let (origin, ending) = silent();
    let upstreams = upstreams(Upstream { first_byte_timeout: SHORT, ..config(&[origin.addr]) });
    let failure = get(&upstreams).await.unwrap_err();
    assert_eq!((failure, failure.is_timeout()), (Failure::FirstByteTimeout, true));
    tokio::task::spawn_blocking(move || ending.recv_timeout(Duration::from_secs(10))).await.unwrap().unwrap();
}

#[tokio::test]
async fn interim_responses_do_not_buy_time() {
    let origin = Origin::start(|mut connection, _| {
        connection.request();
        for _ in 0..1000 {
            connection.say("HTTP/1.1 102 Processing\r\n\r\n");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let upstreams = upstreams(Upstream { first_byte_timeout: SHORT, ..config(&[origin.addr]) });
    assert_eq!(get(&upstreams).await.unwrap_err(), Failure::FirstByteTimeout);
}

#[tokio::test]
async fn time_spent_waiting_for_the_client_does_not_count_against_the_origin() {
    let origin = Origin::start(|mut connection, _| {
        let seen = connection.request().unwrap();
        connection.say(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
            seen.body.len(),
            seen.body
        ));
    });
    let upstreams = upstreams(Upstream { first_byte_timeout: SHORT, ..config(&[origin.addr]) });
    let (feed, request) = upload();
    let feeding = async move {
        for piece in ["one", "two", "three"] {
            sleep(SHORT * 2).await;
            feed.data(piece);
        }
        sleep(SHORT * 2).await;
    };
    let (answer, ()) = tokio::join!(send(&upstreams, request, None), feeding);
    assert_eq!(text(answer).await, "onetwothree");
}

#[tokio::test]
async fn a_client_that_stops_sending_is_the_one_to_blame() {
    let (origin, _ending) = silent();
    let upstreams = upstreams(Upstream { between_bytes_timeout: SHORT, ..config(&[origin.addr]) });
    let (feed, request) = upload();
    feed.data("begun");
    let failure = send(&upstreams, request, None).await.unwrap_err();
    assert_eq!((failure.as_str(), failure.is_clients()), ("request-body-stalled", true));
}

#[tokio::test]
async fn an_origin_that_stops_reading_is_the_one_to_blame() {
    let (ended, ending) = channel::<()>();
    let ending = Mutex::new(ending);
    let origin = Origin::start(move |mut connection, _| {
        connection.head();
        let _ = ending.lock().unwrap().recv();
    });
    let quick = Upstream { first_byte_timeout: SHORT, ..config(&[origin.addr]) };
    let upstreams = upstreams(quick);
    let (feed, request) = upload();
    for _ in 0..1000 {
        feed.data(vec![b'x'; 64 * 1024]);
    }
    assert_eq!(send(&upstreams, request, None).await.unwrap_err(), Failure::FirstByteTimeout);
    // What nobody will send is not kept either.
    timeout(Duration::from_secs(10), feed.abandoned()).await.unwrap();
    drop(ended);
}

#[tokio::test]
async fn after_the_last_piece_the_origin_has_its_time() {
    let (origin, _ending) = silent();
    let upstreams = upstreams(Upstream { first_byte_timeout: SHORT, ..config(&[origin.addr]) });
    let (feed, request) = upload();
    feed.data("all");
    drop(feed);
    assert_eq!(send(&upstreams, request, None).await.unwrap_err(), Failure::FirstByteTimeout);
}

/// Says the head and "begun", then whatever and whenever the test says.
fn piecewise() -> (Origin, Sender<&'static str>) {
    let (say, said) = channel();
    let said = Mutex::new(said);
    let origin = Origin::start(move |mut connection, _| {
        connection.request();
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun");
        while let Ok(piece) = said.lock().unwrap().recv() {
            connection.say(piece);
        }
    });
    (origin, say)
}

#[tokio::test]
async fn an_origin_that_pauses_for_too_long_is_given_up() {
    let (origin, _say) = piecewise();
    let upstreams = upstreams(Upstream { between_bytes_timeout: SHORT, ..config(&[origin.addr]) });
    let (body, ended) = read(get(&upstreams).await.unwrap()).await;
    assert_eq!((body.as_str(), ended), ("begun", Err(BodyFailure::BetweenBytesTimeout)));
}

#[tokio::test]
async fn every_piece_starts_the_time_anew() {
    let (origin, say) = piecewise();
    // Long enough that a busy machine does not use it up between two pieces; all five together still take longer.
    let patience = Duration::from_millis(1500);
    let upstreams = upstreams(Upstream { between_bytes_timeout: patience, ..config(&[origin.addr]) });
    let response = get(&upstreams).await.unwrap();
    let saying = async move {
        for piece in ["e", "n", "d", "e", "d"] {
            sleep(patience / 4).await;
            say.send(piece).unwrap();
        }
    };
    let ((body, ended), ()) = tokio::join!(read(response), saying);
    assert_eq!((body.as_str(), ended), ("begunended", Ok(())));
}

#[tokio::test]
async fn a_slow_reader_is_not_the_origins_fault() {
    let (origin, say) = piecewise();
    let upstreams = upstreams(Upstream { between_bytes_timeout: SHORT, ..config(&[origin.addr]) });
    let mut response = get(&upstreams).await.unwrap();
    for piece in ["e", "n", "d", "e", "d"] {
        response.body_mut().frame().await.unwrap().unwrap();
        say.send(piece).unwrap();
        sleep(SHORT * 2).await;
    }
    let (body, ended) = read(response).await;
    assert_eq!((body.as_str(), ended), ("d", Ok(())));
}
