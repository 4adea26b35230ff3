//! Facts about prefixes in a radix tree: those that speak of a URL lie on one way down from the root, which is as long
//! as the URL, however many facts there are.

use super::facts::Facts;
use super::stamp::Sequence;

const ROOT: usize = 0;

/// Facts by prefix.
///
/// The nodes lie in one list and name each other by their place in it: a tree is freed without walking down, so no
/// depth that a purger could make exhausts the stack.
#[derive(Debug)]
pub(super) struct Tree {
    /// INVARIANT: the root is there, with an empty label; all other labels are not empty.
    nodes: Vec<Node>,
    /// Bytes of all labels.
    labels: usize,
    /// The youngest fact in it.
    youngest: Sequence,
}

#[derive(Debug)]
struct Node {
    /// What the way from the parent to here adds to the prefix.
    label: Box<[u8]>,
    /// Facts about the prefix that ends here.
    facts: Facts,
    /// First byte of the label, and place. INVARIANT: in ascending order, each byte once.
    children: Vec<(u8, usize)>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::new(b"", Facts::NONE)], labels: 0, youngest: Sequence(0) }
    }
}

impl Tree {
    /// Adds facts about all names that begin with `prefix`.
    pub(super) fn add(&mut self, prefix: &[u8], facts: Facts) {
        let place = self.place(prefix);
        let known = &mut self.nodes[place].facts;
        *known = known.and(facts);
        self.youngest = self.youngest.max(facts.youngest());
    }

    /// All facts about prefixes of `name`.
    pub(super) fn about(&self, name: &[u8]) -> Facts {
        let mut node = &self.nodes[ROOT];
        let mut facts = node.facts;
        let mut rest = name;
        while let Some(child) = node.child(rest) {
            let Some(below) = rest.strip_prefix(&*self.nodes[child].label) else { break };
            node = &self.nodes[child];
            facts = facts.and(node.facts);
            rest = below;
        }
        facts
    }

    /// The number of the youngest fact; zero if there is none.
    pub(super) fn youngest(&self) -> Sequence {
        self.youngest
    }

    /// How many nodes it has beside the root: at most two for each prefix.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Bytes that it takes, nearly.
    pub(super) fn size(&self) -> usize {
        self.labels + self.len() * (size_of::<Node>() + size_of::<(u8, usize)>())
    }

    /// Where facts about `prefix` belong; made if it is not there.
    fn place(&mut self, prefix: &[u8]) -> usize {
        let mut at = ROOT;
        let mut rest = prefix;
        while let Some(first) = rest.first() {
            let Some(child) = self.nodes[at].child(rest) else {
                let leaf = self.push(Node::new(rest, Facts::NONE));
                self.nodes[at].adopt(*first, leaf);
                self.labels += rest.len();
                return leaf;
            };
            let label = &self.nodes[child].label;
            let common = label.iter().zip(rest).take_while(|(one, other)| one == other).count();
            if common < label.len() {
                self.split(child, common);
            }
            rest = &rest[common..];
            at = child;
        }
        at
    }

    /// Ends the label of a node after `length` bytes, which are fewer than it has and not zero. The rest of it, with all
    /// that the node has, becomes its only child.
    fn split(&mut self, place: usize, length: usize) {
        let node = &mut self.nodes[place];
        let (front, rest) = node.label.split_at(length);
        let (first, upper) = (rest[0], Node::new(front, Facts::NONE));
        let mut lower = std::mem::replace(node, upper);
        lower.label = lower.label[length..].into();
        let below = self.push(lower);
        self.nodes[place].adopt(first, below);
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

impl Node {
    fn new(label: &[u8], facts: Facts) -> Self {
        Self { label: label.into(), facts, children: Vec::new() }
    }

    /// The child that `rest` could go on to.
    fn child(&self, rest: &[u8]) -> Option<usize> {
        let first = rest.first()?;
        let slot = self.children.binary_search_by_key(first, |(byte, _)| *byte).ok()?;
        Some(self.children[slot].1)
    }

    fn adopt(&mut self, first: u8, place: usize) {
        let slot = self.children.partition_point(|(byte, _)| *byte < first);
        self.children.insert(slot, (first, place));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::subject::Kind;
    use super::*;
    use crate::clock::Moment;

    fn hard(number: u64) -> Facts {
        Facts::one(Kind::Hard, Sequence(number), Moment::from_nanos(number))
    }

    #[test]
    fn a_fact_speaks_of_what_begins_with_its_prefix() {
        let mut tree = Tree::default();
        tree.add(b"a.example/products/", hard(1));
        tree.add(b"a.example/pro", hard(2));
        tree.add(b"a.example/orders", hard(3));
        let about = |name: &str| tree.about(name.as_bytes()).hard.get();
        assert_eq!(about("a.example/products/42"), 2);
        assert_eq!(about("a.example/products/"), 2);
        assert_eq!(about("a.example/products"), 2);
        assert_eq!(about("a.example/pr"), 0);
        assert_eq!(about("a.example/orders/1?x"), 3);
        assert_eq!(about("a.example/order"), 0);
        assert_eq!(about("b.example/orders"), 0);
        assert_eq!(about(""), 0);
        assert_eq!(tree.youngest(), Sequence(3));
    }

    #[test]
    fn the_empty_prefix_speaks_of_all() {
        let mut tree = Tree::default();
        tree.add(b"", hard(1));
        assert_eq!((tree.about(b"").hard, tree.about(b"x").hard), (Sequence(1), Sequence(1)));
        assert_eq!(tree.len(), 0);
    }

    #[test]
    fn repeated_prefixes_take_no_more_room() {
        let mut tree = Tree::default();
        tree.add(b"a.example/x", hard(1));
        let size = tree.size();
        tree.add(b"a.example/x", hard(2));
        assert_eq!((tree.size(), tree.len()), (size, 1));
    }

    #[test]
    fn a_deep_tree_needs_no_deep_stack() {
        const DEPTH: usize = 1 << 11;
        let small = std::thread::Builder::new().stack_size(1 << 16).spawn(|| {
            let long = vec![b'a'; DEPTH];
            let mut tree = Tree::default();
            // The longest first: each ends the label of the one before.
            for length in (1..=DEPTH).rev() {
                tree.add(&long[..length], hard(length as u64));
            }
            (tree.len(), tree.about(&long).hard.get())
        });
        assert_eq!(small.unwrap().join().unwrap(), (DEPTH, DEPTH as u64));
    }

    proptest! {
        /// Names of two letters share prefixes more often than not.
        #[test]
        fn it_says_what_looking_at_every_fact_would(
            prefixes in vec("[ab]{0,6}", 0..40),
            names in vec("[ab]{0,8}", 1..20),
        ) {
            let mut tree = Tree::default();
            let facts: Vec<_> = prefixes.iter().zip(1..).map(|(prefix, number)| (prefix, hard(number))).collect();
            for (prefix, fact) in &facts {
                tree.add(prefix.as_bytes(), *fact);
            }
            for name in names {
                let said = facts.iter().filter(|(prefix, _)| name.starts_with(prefix.as_str()));
                let wanted = said.fold(Facts::NONE, |all, (_, fact)| all.and(*fact));
                prop_assert_eq!(tree.about(name.as_bytes()), wanted, "{}", name);
            }
            prop_assert!(tree.len() <= 2 * prefixes.len());
        }
    }
}
