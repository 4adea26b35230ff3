//! Long content, which leaves without a copy once it is asked for often: that it arrives as it is, however it is asked for.

use crate::proxy::{Proxy, assert_hit};
use crate::support::*;

/// Text that tells where in which content it is.
fn content(of: usize, len: usize) -> String {
    let lines = (0..).map(|line| format!("{of:>3} {line:>10}\n"));
    let mut text: String = lines.take(len / 15 + 1).collect();
    text.truncate(len);
    text
}

const LENGTHS: [usize; 6] = [32 * 1024, 40_001, 64 * 1024, 64 * 1024 + 1, 200_000, 1_000_000];
/// More requests than it takes to be asked for often.
const OFTEN: usize = 10;

fn stored(shape: fn(Answer) -> Answer) -> (Origin, Proxy) {
    let origin = Origin::start();
    for len in LENGTHS {
        let answer = ok(content(len, len)).field("ETag", "\"1\"").cache("max-age=60");
        origin.on(&format!("/{len}")).respond(shape(answer));
    }
    let proxy = Proxy::before(&origin);
    for len in LENGTHS {
        for _ in 0..OFTEN {
            assert!(proxy.get(&format!("/{len}")).text() == content(len, len), "{len}");
        }
    }
    (origin, proxy)
}

#[test]
fn it_arrives_as_it_is_however_the_origin_framed_it() {
    for shape in
        [|answer: Answer| answer, Answer::chunked, |answer: Answer| answer.chunked().trailer("T", "1")]
    {
        let (_origin, proxy) = stored(shape);
        for len in LENGTHS {
            let hit = proxy.get(&format!("/{len}"));
            assert_hit(&hit);
            assert!(hit.text() == content(len, len), "{len}");
            assert!(proxy.head(&format!("/{len}")).content.is_empty());
        }
    }
}

#[test]
fn any_range_of_it_arrives() {
    let (_origin, proxy) = stored(|answer| answer);
    for len in LENGTHS {
        let whole = content(len, len);
        for (first, last) in
            [(0, 0), (1, len - 1), (4095, 4096), (9, 30_000), (len - 20_000, len - 1), (0, len - 1)]
        {
            let range = format!("bytes={first}-{last}");
            let part = proxy.send(&proxy.asks(&format!("/{len}")).field("Range", range));
            assert_eq!(part.status, 206);
            assert!(part.text() == whole[first..=last], "{first}-{last} of {len}");
        }
        if len < 64 * 1024 {
            continue;
        }
        let ranges = "bytes=0-20000,20100-20109,20200-31000,31001-32000,-16500";
        let parts = proxy.send(&proxy.asks(&format!("/{len}")).field("Range", ranges)).text();
        let mut rest = &parts[..];
        for (first, last) in
            [(0, 20_000), (20_100, 20_109), (20_200, 31_000), (31_001, 32_000), (len - 16_500, len - 1)]
        {
            let marker = format!("bytes {first}-{last}/{len}\r\n\r\n");
            let (_, after) = rest.split_once(&marker).unwrap_or_else(|| panic!("no {marker:?} of {len}"));
            assert!(after.starts_with(&whole[first..=last]), "{marker} of {len}");
            rest = &after[last - first..];
        }
    }
}

/// While others come and go, and other content has the place of what the kernel still holds.
#[test]
fn a_client_that_takes_its_time_gets_what_it_asked_for() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for turn in 0..8 {
        for len in [64 * 1024, 250_000, 1_000_000] {
            let target = format!("/{len}");
            origin.on(&target).respond(ok(content(turn, len)).cache("max-age=60"));
            (0..OFTEN).for_each(|_| drop(proxy.get(&target)));
            let begun = [(); 2].map(|()| {
                let mut slow = proxy.asks(&target).begin_on(proxy.connect().with_small_window());
                slow.wait_for_length(1000);
                slow
            });
            let [slow, gone] = begun;
            gone.reset();
            proxy.advance(100);
            origin.on(&target).respond(ok(content(turn + 100, len)).cache("max-age=60"));
            for _ in 0..OFTEN {
                assert!(proxy.get(&target).text() == content(turn + 100, len));
            }
            proxy.settle();
            let others = format!("/others/{turn}/{len}");
            origin.on(&others).respond(ok(content(turn + 200, 256 * 1024)).cache("max-age=60"));
            (0..OFTEN).for_each(|_| drop(proxy.get(&others)));
            assert!(slow.finish().text() == content(turn, len), "{len}");
            proxy.advance(100);
        }
    }
}
