//! A purge that is being read, and the one list of what it may say.

use super::{Fault, Limits, Purge, Target};
use crate::config::nearest;

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    targets: Vec<Target>,
    everything: bool,
    soft: bool,
    dry_run: bool,
    refresh: bool,
}

/// What names targets: in JSON a list by the plural, in a form each by the singular.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) plural: &'static str,
    pub(super) singular: &'static str,
    read: fn(&str) -> Result<Vec<Target>, Fault>,
}

const LISTS: [Listed; 5] = [
    Listed { plural: "urls", singular: "url", read: |text| Target::url(text).map(|target| vec![target]) },
    Listed { plural: "tags", singular: "tag", read: |text| Target::tag(text).map(|target| vec![target]) },
    Listed { plural: "groups", singular: "group", read: Target::groups },
    Listed {
        plural: "prefixes",
        singular: "prefix",
        read: |text| Target::prefix(text).map(|target| vec![target]),
    },
    Listed { plural: "hosts", singular: "host", read: |text| Target::host(text).map(|target| vec![target]) },
];

/// What is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    Everything,
    Soft,
    DryRun,
    Refresh,
}

const SWITCHES: [(&str, Switch); 4] = [
    ("everything", Switch::Everything),
    ("soft", Switch::Soft),
    ("dry_run", Switch::DryRun),
    ("refresh", Switch::Refresh),
];

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    List(Listed),
    Switch(Switch),
}

/// How a format calls a list of targets.
type Called = fn(&Listed) -> &'static str;

/// What `name` stands for where lists are called so.
pub(super) fn named(name: &str, called: Called) -> Result<Named, Fault> {
    let list = LISTS.iter().find(|list| called(list) == name).map(|list| Named::List(*list));
    let switch = SWITCHES.iter().find(|(known, _)| *known == name).map(|(_, switch)| Named::Switch(*switch));
    list.or(switch).ok_or_else(|| unknown(name, called))
}

fn unknown(name: &str, called: Called) -> Fault {
    let other = LISTS.iter().find(|list| list.plural == name || list.singular == name).map(called);
    let names = || LISTS.iter().map(called).chain(SWITCHES.map(|(name, _)| name));
    match other.or_else(|| nearest(name, names())) {
        Some(meant) => Fault::new(format!("unknown key `{name}`, did you mean `{meant}`?")),
        None => {
            let names: Vec<&str> = names().collect();
            Fault::new(format!("unknown key `{name}`; the keys are {}", names.join(", ")))
        }
    }
}

impl Draft {
    pub(super) fn add(&mut self, list: Listed, text: &str) -> Result<(), Fault> {
        self.targets.extend((list.read)(text)?);
        Ok(())
    }

    pub(super) fn push(&mut self, target: Target) {
        self.targets.push(target);
    }

    pub(super) fn set(&mut self, switch: Switch, on: bool) {
        let place = match switch {
            Switch::Everything => &mut self.everything,
            Switch::Soft => &mut self.soft,
            Switch::DryRun => &mut self.dry_run,
            Switch::Refresh => &mut self.refresh,
        };
        *place = on;
    }

    /// Checks what only shows at the end.
    pub(super) fn finish(mut self, limits: Limits) -> Result<Purge, Fault> {
        if self.everything {
            self.targets.push(Target::Everything);
        }
        if self.targets.is_empty() {
            return Err(Fault::new(
                "there is nothing to purge; name a URL, tag, group, prefix or host, or everything",
            ));
        }
        if self.targets.len() > limits.targets {
            let (count, most) = (self.targets.len(), limits.targets);
            return Err(Fault::new(format!(
                "{count} targets are too many; {most} at most (`[purge] max_targets`)"
            )));
        }
        if self.refresh && !self.soft {
            return Err(Fault::new(
                "`refresh` goes with `soft`: what is purged hard is gone, and cannot be refreshed",
            ));
        }
        let refresh = self.refresh.then_some(limits.refresh);
        Ok(Purge { targets: self.targets, soft: self.soft, dry_run: self.dry_run, refresh })
    }
}
