//! What is complete is stored, whoever has read it.

use super::*;

#[tokio::test]
async fn readers_get_the_bytes_as_they_come_and_late_ones_from_the_start() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    let mut early = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    assert_eq!(take_all(&mut early), content(10));
    writer.push(content(5)).await.unwrap();
    let mut late = body.reader().unwrap();
    let sealed = writer.finish(None).unwrap();
    let whole = [content(10), content(5)].concat();
    assert_eq!(take_all(&mut early), content(5));
    assert_eq!(take_all(&mut late), whole);
    let mut later = body.reader().unwrap();
    assert_eq!(take_all(&mut later), whole);
    assert_eq!(sealed.pieces().concat(), whole);
    assert!(early.is_end_stream() && late.is_end_stream());
}

#[tokio::test]
async fn what_is_stored_pins_nothing_and_is_charged_to_the_last_holder() {
    let budget = Budget::new(ROOMY);
    let (mut writer, body) = fill(budget.clone(), limits());
    push_all(&mut writer, &content(200 * KIB), 40 * KIB).await;
    let sealed = writer.finish(None).unwrap();
    drop(body);
    let overhead = budget.used() - 200 * KIB as u64;
    assert!(overhead < 8 * KIB as u64, "{overhead}");
    let slice = sealed.slice(0, 0);
    drop(sealed);
    assert!(budget.used() >= 40 * KIB as u64, "one byte keeps its chunk");
    drop(slice);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn crumbs_are_gathered_while_they_come() {
    let budget = Budget::new(ROOMY);
    let (mut writer, body) = fill(budget.clone(), limits());
    let content = content(100 * KIB);
    let mut reader = body.reader().unwrap();
    let mut read = Vec::new();
    for (i, piece) in content.chunks(7).enumerate() {
        writer.push(Bytes::copy_from_slice(piece)).await.unwrap();
        if i % 11 == 0 {
            read.extend(take_all(&mut reader));
        }
        assert!(budget.used() < 2 * (i as u64 * 7) + 4096, "{} for {} bytes", budget.used(), i * 7);
    }
    let sealed = writer.finish(None).unwrap();
    read.extend(take_all(&mut reader));
    assert_eq!(read, content);
    assert_eq!(sealed.pieces().concat(), content);
    assert!(
        sealed.pieces().len() <= 8,
        "{:?}",
        sealed.pieces().iter().map(|piece| piece.len()).collect::<Vec<_>>()
    );
    assert!(sealed.pieces().iter().all(|piece| piece.len() <= 64 * KIB));
}

#[tokio::test]
async fn what_fits_into_one_chunk_is_stored_as_one() {
    for (len, pieces) in [(30 * KIB, 1), (64 * KIB, 1), (64 * KIB + 1, 2)] {
        let (mut writer, _body) = fill(Budget::new(ROOMY), limits());
        for piece in content(len).chunks(20 * KIB) {
            writer.push(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        let sealed = writer.finish(None).unwrap();
        assert_eq!(sealed.pieces().concat(), content(len));
        assert_eq!(sealed.pieces().len(), pieces, "{len}");
    }
}

#[tokio::test]
async fn long_pieces_are_stored_in_chunks_that_can_be_let_go_one_by_one() {
    let (mut writer, _body) = fill(Budget::new(ROOMY), limits());
    writer.push(content(200 * KIB)).await.unwrap();
    let sealed = writer.finish(None).unwrap();
    assert_eq!(sealed.pieces().concat(), content(200 * KIB));
    assert!(sealed.pieces().iter().all(|piece| piece.len() <= 64 * KIB));
}

#[tokio::test]
async fn without_readers_it_goes_on_if_it_will_be_stored() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    drop(body.reader());
    push_all(&mut writer, &content(100 * KIB), 9 * KIB).await;
    assert_eq!(writer.finish(None).unwrap().len(), 100 * KIB as u64);
}

#[tokio::test]
async fn trailers_come_last_and_are_stored_and_charged() {
    let budget = Budget::new(ROOMY);
    let trailers: HeaderMap =
        [(http::header::ETAG, http::HeaderValue::from_static("\"x\""))].into_iter().collect();
    let (mut writer, body) = fill(budget.clone(), limits());
    let reader = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    let before = budget.used();
    let sealed = writer.finish(Some(trailers.clone())).unwrap();
    assert!(budget.used() > before);
    assert_eq!(sealed.trailers(), Some(&trailers));
    let collected = reader.collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), content(10));
    drop((body, sealed));
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn trailers_that_do_not_fit_are_passed_on_and_not_stored() {
    let budget = Budget::new(250);
    let trailers: HeaderMap =
        [(http::header::ETAG, http::HeaderValue::from_static("\"x\""))].into_iter().collect();
    let (mut writer, body) = fill(budget, limits());
    let reader = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    assert!(writer.is_storing());
    assert_eq!(writer.finish(Some(trailers.clone())).unwrap_err().reason(), "memory");
    assert_eq!(reader.collect().await.unwrap().trailers(), Some(&trailers));
}
