//! What came of a step, and whether it may.

use super::super::origin::{self, GROUP, LENGTH, MOST_FETCHES, Resource};
use super::super::reference::{Answer, Fetch, FetchId, Grant, Purge, Target};
use super::super::world::Received;
use super::{Client, Pending, Script};
use crate::support::CacheStatus;

impl Script<'_> {
    /// Takes in all consequences of a step, and judges them.
    pub(super) fn observe(&mut self) -> Result<(), String> {
        self.world.settle();
        for request in self.world.received() {
            self.register(request)?;
        }
        let world = &self.world;
        self.pending.retain(|pending| world.is_open(pending.request.connection));
        let mut clients = std::mem::take(&mut self.clients);
        for client in &mut clients {
            if client.asking.read() {
                self.judge(client)?;
            }
        }
        for client in clients {
            match client.asking.end {
                None => self.clients.push(client),
                Some(_) => self.world.keep(client.asking),
            }
        }
        Ok(())
    }

    fn register(&mut self, request: Received) -> Result<(), String> {
        let authority = request.fields.one("Host").unwrap_or_default();
        let is_it = |resource: &Resource| resource.authority == authority && resource.path == request.target;
        if !authority.starts_with(&self.host) {
            // A refresh that a purge of everything has caused, of what an earlier script has left in the store.
            self.world.hang_up(request.connection);
            return Ok(());
        }
        let Some(resource) = self.resources.iter().position(is_it) else {
            return Err(format!("the origin was asked for {authority}{}", request.target));
        };
        let fetch = self.model.fetches.len();
        if fetch >= MOST_FETCHES {
            return Err("the origin is asked without end".into());
        }
        let conditions: Vec<String> = ["If-None-Match", "Range", "If-Range"]
            .iter()
            .filter_map(|name| Some(format!("{name}: {}", request.fields.one(name)?)))
            .collect();
        self.note(format!(
            "     fetch {fetch}: {} {authority}{} {}",
            request.method,
            request.target,
            conditions.join(", ")
        ));
        self.model.fetches.push(Fetch {
            received: self.step,
            kind: origin::kind_of(&request),
            authority,
            path: request.target.clone(),
            labels: Default::default(),
            answered_at: self.step,
            answered: self.world.seconds(),
            terms: Default::default(),
        });
        self.pending.push(Pending { fetch, resource, request, rest: None });
        Ok(())
    }

    fn judge(&mut self, client: &mut Client) -> Result<(), String> {
        let Client { name, asked, asking, .. } = client;
        let Some(head) = &asking.head else { return Ok(()) };
        let status = CacheStatus::all(&head.fields).pop();
        let kept = asking.field("Cache-Control").unwrap_or_default();
        let version = kept.split(", ").find_map(|directive| directive.strip_prefix("v="));
        self.trace.push(format!(
            "{:>3}       client {name} has {} {} bytes, {status:?}, end {:?}",
            self.step,
            head.start,
            asking.content.len(),
            asking.end
        ));
        let first = !std::mem::replace(&mut client.judged, true);
        // Without a version it is Larder's own: there is no content of the origin in it.
        let Some(version) = version else { return Ok(()) };
        let mut content: Vec<FetchId> = asking.content.iter().map(|byte| origin::fetch_of(*byte)).collect();
        content.dedup();
        let head_id: FetchId = version.parse().map_err(|_| format!("{kept:?} is not the origin's"))?;
        let status = status.unwrap_or_default();
        let grant = match status.detail.as_deref() {
            Some("stale-while-revalidate") => Some(Grant::WhileRevalidate),
            Some("stale-if-error") => Some(Grant::IfError),
            _ => None,
        };
        let answer = Answer { asked: *asked, time: self.world.seconds(), content, head: head_id, grant };
        self.confused(client, &answer)?;
        if let Some(purge) = self.model.fault(&answer) {
            return Err(format!("client {}: {answer:?} is from before {purge:?}", client.name));
        }
        if first {
            self.tally.answered(&status, self.tempted(client, &answer));
            self.learn(client, head_id);
        }
        Ok(())
    }

    /// Whether the answer holds content of another resource, or of a variant that the client did not ask for.
    fn confused(&self, client: &Client, answer: &Answer) -> Result<(), String> {
        let resource = &self.resources[client.resource];
        for id in answer.content.iter().chain([&answer.head]) {
            let fetch = self.model.fetches.get(*id).ok_or("bytes that nobody sent")?;
            let other_kind = resource.varies && fetch.kind != client.kind;
            if fetch.authority != resource.authority || fetch.path != resource.path || other_kind {
                return Err(format!("client {} gets the answer to {fetch:?}", client.name));
            }
        }
        if client.asking.content.len() > LENGTH {
            return Err(format!("client {} gets too much", client.name));
        }
        Ok(())
    }

    /// Whether there was something to be served wrongly: a fetch of the same that a purge had put out of use.
    fn tempted(&self, client: &Client, answer: &Answer) -> bool {
        let resource = &self.resources[client.resource];
        let of_it = |fetch: &&Fetch| {
            fetch.authority == resource.authority
                && fetch.path == resource.path
                && fetch.received < client.asked
        };
        let mut old = self.model.fetches.iter().filter(of_it);
        old.any(|fetch| {
            self.model.purges.iter().any(|purge| {
                let between = fetch.received < purge.began && purge.returned < answer.asked;
                between && !purge.soft && purge.targets.iter().any(|target| target.names(fetch))
            })
        })
    }

    /// The answer to an unsafe request has begun: what it changed is purged by now.
    fn learn(&mut self, client: &Client, head: FetchId) {
        let is_success = client.asking.status().is_some_and(|status| status < 400);
        if client.method != "POST" || !is_success {
            return;
        }
        let Resource { authority, path, .. } = &self.resources[client.resource];
        let mut targets = vec![Target::Url(format!("{authority}{path}"))];
        if let Some(location) = client.asking.field("Location") {
            targets.push(Target::Url(format!("{authority}{location}")));
        }
        if client.asking.field("Cache-Group-Invalidation").is_some() {
            targets.push(Target::Group { origin: format!("http://{authority}"), name: GROUP.to_owned() });
        }
        self.tally.written += 1;
        let Fetch { answered: time, answered_at: began, .. } = self.model.fetches[head];
        let (returned, cause) = (self.step, Some(head));
        self.model.purges.push(Purge { began, returned, time, targets, soft: false, cause });
    }
}
