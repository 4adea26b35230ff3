//! How it ends: complete, cut, or not as long as was declared.

use super::*;

#[tokio::test]
async fn what_breaks_off_is_visibly_cut_after_what_came() {
    for fails in [true, false] {
        let (mut writer, body) = fill(Budget::new(ROOMY), limits());
        let mut reader = body.reader().unwrap();
        writer.push(content(10)).await.unwrap();
        if fails {
            writer.fail("reset")
        } else {
            drop(writer)
        }
        assert!(!reader.is_end_stream());
        let Poll::Ready(Some(Ok(data))) = poll_reader(&mut reader, Waker::noop()) else {
            panic!("data first")
        };
        assert_eq!(*data, *content(10));
        let reason = if fails { "reset" } else { "aborted" };
        assert_eq!(poll_reader(&mut reader, Waker::noop()), Poll::Ready(Some(Err(BodyError(reason)))));
        assert_eq!(poll_reader(&mut reader, Waker::noop()), Poll::Ready(None));
        assert!(!body.has_room(), "newcomers do not begin what is known to be cut");
        let mut late = body.reader().expect("one that was promised it before gets what came");
        assert_eq!(poll_reader(&mut late, Waker::noop()), Poll::Ready(Some(Ok(content(10)))));
        assert_eq!(poll_reader(&mut late, Waker::noop()), Poll::Ready(Some(Err(BodyError(reason)))));
    }
}

#[tokio::test]
async fn less_than_declared_fails() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { expected: Some(20), ..limits() });
    let reader = body.reader().unwrap();
    assert_eq!(reader.size_hint().exact(), Some(20));
    writer.push(content(10)).await.unwrap();
    assert_eq!(writer.finish(None).unwrap_err().reason(), "length-mismatch");
    assert_eq!(reader.collect().await.unwrap_err(), BodyError("length-mismatch"));
}

#[tokio::test]
async fn more_than_declared_fails_before_it_is_handed_on() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { expected: Some(20), ..limits() });
    let mut reader = body.reader().unwrap();
    writer.push(content(15)).await.unwrap();
    assert_eq!(writer.push(content(10)).await, Err(Abandoned));
    assert_eq!(take_all(&mut reader).len(), 15);
    assert_eq!(writer.finish(None).unwrap_err().reason(), "length-mismatch");
}

#[tokio::test]
async fn the_last_declared_byte_is_the_end() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { expected: Some(10), ..limits() });
    let mut reader = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    assert!(!reader.is_end_stream());
    take_all(&mut reader);
    assert!(reader.is_end_stream(), "though the writer has not finished");
    assert_eq!(reader.size_hint().exact(), Some(0));
}

#[tokio::test]
async fn the_length_is_known_when_it_is() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    let reader = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    assert_eq!((reader.size_hint().lower(), reader.size_hint().exact()), (10, None));
    writer.finish(None).unwrap();
    assert_eq!(reader.size_hint().exact(), Some(10));
}
