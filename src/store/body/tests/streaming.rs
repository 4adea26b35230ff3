//! What will not be stored: a window that moves with the slowest reader.

use super::*;

#[tokio::test]
async fn a_stream_keeps_nothing_of_the_buffer_that_a_piece_was_read_into() {
    let budget = Budget::new(ROOMY);
    let (mut writer, body) = fill(budget.clone(), limits());
    let mut reader = body.reader().unwrap();
    writer.stream_only("not wanted");
    let buffer = content(64 * KIB);
    writer.push(buffer.slice(..100)).await.unwrap();
    assert!(buffer.is_unique());
    assert!((100..400).contains(&budget.used()), "{}", budget.used());
    assert_eq!(take_all(&mut reader), buffer[..100]);
}

#[tokio::test]
async fn without_readers_a_stream_is_abandoned() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    let reader = body.reader().unwrap();
    writer.stream_only("verdict");
    writer.push(content(1)).await.unwrap();
    drop(reader);
    assert_eq!(writer.push(content(1)).await, Err(Abandoned));
    assert_eq!(writer.not_stored_because(), Some("verdict"));
    assert!(!body.is_storing());
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_a_moment_for_its_first_reader() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    writer.stream_only("verdict");
    push_all(&mut writer, &content(8 * KIB), KIB).await;
    {
        let mut push = pin!(writer.push(content(1)));
        assert!(poll(push.as_mut()).is_pending(), "the window is full");
        let mut reader = body.reader().unwrap();
        assert_eq!(take_all(&mut reader).len(), 8 * KIB);
        push.await.unwrap();
    }
    let (mut writer, _body) = fill(Budget::new(0), limits());
    writer.push(content(1)).await.unwrap();
    assert_eq!(writer.push(content(1)).await, Err(Abandoned), "nobody came");
}

#[tokio::test]
async fn what_passes_max_object_becomes_a_stream() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { max_object: 1000, ..limits() });
    let mut reader = body.reader().unwrap();
    writer.push(content(600)).await.unwrap();
    assert!(writer.is_storing());
    writer.push(content(600)).await.unwrap();
    assert_eq!(writer.not_stored_because(), Some("max-object"));
    assert!(body.has_room(), "nothing is gone yet");
    assert_eq!(take_all(&mut reader).len(), 1200);
    assert!(!body.has_room());
    assert!(body.reader().is_none());
    assert_eq!(writer.finish(None).unwrap_err().reason(), "max-object");
    assert!(reader.is_end_stream());
}

#[tokio::test]
async fn a_fill_never_waits_for_memory_and_never_passes_the_budget() {
    let budget = Budget::new(10 * KIB as u64);
    let (mut writer, body) = fill(budget.clone(), limits());
    let mut reader = body.reader().unwrap();
    let content = content(64 * KIB);
    let mut read = Vec::new();
    for piece in content.chunks(KIB) {
        let mut push = pin!(writer.push(Bytes::copy_from_slice(piece)));
        while poll(push.as_mut()).is_pending() {
            read.extend(take_all(&mut reader));
        }
        assert!(budget.used() <= budget.limit());
    }
    assert_eq!(writer.not_stored_because(), Some("memory"));
    assert_eq!(writer.finish(None).unwrap_err().reason(), "memory");
    read.extend(take_all(&mut reader));
    assert_eq!(read, content);
    drop((body, reader));
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn without_any_memory_pieces_are_handed_over_one_by_one() {
    let (mut writer, body) = fill(Budget::new(0), limits());
    let mut reader = body.reader().unwrap();
    writer.push(content(100)).await.unwrap();
    let mut push = pin!(writer.push(content(100)));
    assert!(poll(push.as_mut()).is_pending());
    assert_eq!(take_all(&mut reader).len(), 100);
    push.await.unwrap();
}

#[tokio::test]
async fn a_stream_is_paced_by_its_slowest_reader_within_the_window() {
    let budget = Budget::new(ROOMY);
    let (mut writer, body) = fill(budget.clone(), limits());
    let (mut fast, mut slow) = (body.reader().unwrap(), body.reader().unwrap());
    writer.stream_only("verdict");
    push_all(&mut writer, &content(8 * KIB), KIB).await;
    assert_eq!(take_all(&mut fast).len(), 8 * KIB);
    let mut push = pin!(writer.push(content(KIB)));
    assert!(poll(push.as_mut()).is_pending(), "the fast one is a whole window ahead");
    let Poll::Ready(Some(Ok(_))) = poll_reader(&mut slow, Waker::noop()) else { panic!("there is data") };
    push.await.unwrap();
    assert!(budget.used() < 8 * KIB as u64 + 8 * 128);
}

#[tokio::test]
async fn a_stalled_reader_that_is_cut_lets_the_others_go_on() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    let (mut fast, stalled) = (body.reader().unwrap(), body.reader().unwrap());
    writer.stream_only("verdict");
    push_all(&mut writer, &content(8 * KIB), KIB).await;
    take_all(&mut fast);
    let flag = Arc::new(Flag::default());
    let mut push = pin!(writer.push(content(KIB)));
    let waker = Waker::from(flag.clone());
    assert!(push.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(stalled);
    assert!(flag.take(), "the writer is woken");
    push.await.unwrap();
    assert_eq!(take_all(&mut fast).len(), KIB);
}

#[tokio::test]
async fn a_waiting_writer_is_woken_by_the_last_reader_that_leaves() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { window: 1, ..limits() });
    let reader = body.reader().unwrap();
    writer.stream_only("verdict");
    writer.push(content(10)).await.unwrap();
    let flag = Arc::new(Flag::default());
    let mut push = pin!(writer.push(content(10)));
    assert!(push.as_mut().poll(&mut Context::from_waker(&Waker::from(flag.clone()))).is_pending());
    drop(reader);
    assert!(flag.take());
    assert_eq!(push.await, Err(Abandoned));
}
