//! Real threads.

use super::*;

#[test]
fn both_ends_can_go_to_other_threads() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Writer>();
    is_send::<Body>();
    is_send::<Reader>();
    let (mut writer, _body) = fill(Budget::new(0), limits());
    fn is_send_value<T: Send>(_: T) {}
    is_send_value(writer.push(Bytes::new()));
}

async fn read_some(mut reader: Reader, content: Bytes, give_up_after: usize) {
    let mut read = 0;
    while let Some(frame) = reader.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert_eq!(*data, content[read..read + data.len()]);
        read += data.len();
        if read > give_up_after {
            return;
        }
        if read % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(read, content.len());
}

#[test]
fn readers_on_other_threads_miss_nothing() {
    const ROUNDS: usize = 60;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let content = content(300 * KIB);
    runtime.block_on(async {
        for round in 0..ROUNDS {
            let limit = if round % 2 == 0 { ROOMY } else { 100 * KIB as u64 };
            let budget = Budget::new(limit);
            let (mut writer, body) = fill(budget.clone(), limits());
            let readers: Vec<_> = (0..8)
                .map(|i| {
                    let give_up_after = if i % 3 == 0 { i * 20 * KIB } else { usize::MAX };
                    tokio::spawn(read_some(body.reader().unwrap(), content.clone(), give_up_after))
                })
                .collect();
            let filled = tokio::spawn({
                let content = content.clone();
                async move {
                    push_all(&mut writer, &content, 100 + 977 * (round % 17)).await;
                    writer.finish(None).is_ok()
                }
            });
            let all = async {
                for reader in readers {
                    reader.await.unwrap();
                }
                filled.await.unwrap()
            };
            let stored = tokio::time::timeout(Duration::from_secs(20), all).await.expect("somebody hangs");
            assert_eq!(stored, limit == ROOMY);
            drop(body);
            assert_eq!(budget.used(), 0);
        }
    });
}
