//! Requests that are sent at once, and how many of them succeed.

use tokio::task::yield_now;

use super::client::{Call, Reply};

/// Sends two at once, on two tasks. The second is held back a little, by another amount in each round.
pub async fn at_once(round: usize, first: Call, second: Call) -> [Reply; 2] {
    let first = tokio::spawn(first.send());
    for _ in 0..round % 40 {
        yield_now().await;
    }
    let second = second.send().await;
    [first.await.unwrap(), second]
}

/// How many have succeeded; the others were refused in one of these ways.
#[track_caller]
pub fn successes(replies: &[Reply], refusals: &[(u16, &str)]) -> usize {
    let lost = replies.iter().filter(|reply| reply.status != 200);
    for reply in lost.clone() {
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        let refusal = (reply.status.as_u16(), &*message);
        assert!(refusals.contains(&refusal), "{reply:?}");
    }
    replies.len() - lost.count()
}
