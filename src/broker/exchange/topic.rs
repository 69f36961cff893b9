//! Routing by patterns of words: `*` is exactly one word, `#` any number of them, none included.
//!
//! Keys are cut at `.`; words may be empty, and the empty key has no words at all (RabbitMQ's reading). The
//! patterns form a tree of words, and a message walks it with all the nodes its words so far can lead to.
//!
//! Invariants:
//! * Each pattern ends in one node, and each node but the root leads to a destination.
//! * A `#` node, once entered, is never left: any further word keeps it. So entering it twice means
//!   nothing, and what ends there matches at once.
//! * A node that is no `#` node is entered at most once a word, by its parent. Hence a walk takes at most
//!   (words of the key) x (nodes) steps, and no pattern makes it exponential.
//! * A pair of pattern and destination is here once and is reported at most once for a message; a destination
//!   with several matching patterns is reported once for each.
//!
//! Words of patterns are found by hash, so the number of bindings beside the matching ones costs nothing.

use std::collections::HashMap;

use smallvec::SmallVec;

/// The patterns of one exchange.
#[derive(Debug)]
pub(super) struct Topic<D> {
    root: Node<D>,
    marks: Marks,
}

#[derive(Debug)]
struct Node<D> {
    words: HashMap<Box<str>, Node<D>>,
    /// `*`
    one: Option<Box<Node<D>>>,
    /// `#`
    any: Option<Box<Any<D>>>,
    destinations: Vec<D>,
}

/// A `#` node.
#[derive(Debug)]
struct Any<D> {
    node: Node<D>,
    /// Only a `#` that follows another, as in `#.a.#`, can be entered twice and needs a mark.
    mark: Option<usize>,
}

impl<D> Default for Topic<D> {
    fn default() -> Self {
        Topic { root: Node::default(), marks: Marks::default() }
    }
}

impl<D> Default for Node<D> {
    fn default() -> Self {
        Node { words: HashMap::new(), one: None, any: None, destinations: Vec::new() }
    }
}

impl<D: Eq> Topic<D> {
    /// Adds a pair of pattern and destination that is not here yet.
    pub(super) fn add(&mut self, pattern: &str, destination: D) {
        let mut node = &mut self.root;
        let mut below_any = false;
        for word in words(pattern) {
            node = match word {
                "*" => node.one.get_or_insert_default(),
                "#" => {
                    let marks = &mut self.marks;
                    let any = node.any.get_or_insert_with(|| {
                        let mark = below_any.then(|| marks.give());
                        Box::new(Any { node: Node::default(), mark })
                    });
                    below_any = true;
                    &mut any.node
                }
                word => node.word_mut(word),
            };
        }
        node.destinations.push(destination);
    }

    /// Takes a pair away, with the nodes that led nowhere else. Costs the number of destinations of this pattern.
    pub(super) fn remove(&mut self, pattern: &str, destination: &D) {
        self.root.remove(words(pattern), destination, &mut self.marks);
    }

    /// Shows the destinations of every pattern this key fits.
    pub(super) fn route(&self, routing_key: &str, visit: &mut impl FnMut(&D)) {
        let mut walk = Walk::new(self.marks.bound);
        walk.enter(&self.root, visit);
        for word in words(routing_key) {
            walk.step(word, visit);
        }
        for node in walk.here {
            node.destinations.iter().for_each(&mut *visit);
        }
    }
}

impl<D: Eq> Node<D> {
    fn word_mut(&mut self, word: &str) -> &mut Node<D> {
        self.words.entry(word.into()).or_default()
    }

    /// Recursion is as deep as the pattern has words: at most 256, a binding key being a short string.
    fn remove<'p>(
        &mut self,
        mut pattern: impl Iterator<Item = &'p str>,
        destination: &D,
        marks: &mut Marks,
    ) {
        match pattern.next() {
            None => self.destinations.retain(|other| other != destination),
            Some("*") => {
                let Some(one) = &mut self.one else { return };
                one.remove(pattern, destination, marks);
                self.one.take_if(|one| one.is_bare());
            }
            Some("#") => {
                let Some(any) = &mut self.any else { return };
                any.node.remove(pattern, destination, marks);
                let bare = self.any.take_if(|any| any.node.is_bare());
                marks.take_back(bare.and_then(|any| any.mark));
            }
            Some(word) => {
                let Some(node) = self.words.get_mut(word) else { return };
                node.remove(pattern, destination, marks);
                if node.is_bare() {
                    self.words.remove(word);
                }
            }
        }
    }

    fn is_bare(&self) -> bool {
        self.destinations.is_empty() && self.leads_nowhere()
    }

    fn leads_nowhere(&self) -> bool {
        self.words.is_empty() && self.one.is_none() && self.any.is_none()
    }
}

/// Where one routing key stands in the tree after some of its words.
struct Walk<'t, D> {
    /// Nodes that the words so far lead to, `#` nodes excepted.
    here: Nodes<'t, D>,
    /// The nodes `here` before the last word; kept for its room.
    before: Nodes<'t, D>,
    /// `#` nodes entered so far from which patterns go on.
    staying: Nodes<'t, D>,
    entered: SmallVec<[u64; 4]>,
}

type Nodes<'t, D> = SmallVec<[&'t Node<D>; 16]>;

impl<'t, D> Walk<'t, D> {
    fn new(marks: usize) -> Self {
        Walk {
            here: SmallVec::new(),
            before: SmallVec::new(),
            staying: SmallVec::new(),
            entered: SmallVec::from_elem(0, marks.div_ceil(64)),
        }
    }

    /// Follows one word from every node the walk stands on.
    fn step(&mut self, word: &str, visit: &mut impl FnMut(&D)) {
        std::mem::swap(&mut self.here, &mut self.before);
        self.here.clear();
        // What this word enters by way of a `#` waits for the next word.
        let staying = self.staying.len();
        for index in 0..self.before.len() {
            self.follow(self.before[index], word, visit);
        }
        for index in 0..staying {
            self.follow(self.staying[index], word, visit);
        }
    }

    fn follow(&mut self, node: &'t Node<D>, word: &str, visit: &mut impl FnMut(&D)) {
        if let Some(next) = node.words.get(word) {
            self.enter(next, visit);
        }
        if let Some(next) = &node.one {
            self.enter(next, visit);
        }
    }

    fn enter(&mut self, node: &'t Node<D>, visit: &mut impl FnMut(&D)) {
        self.here.push(node);
        let mut next = node.any.as_deref();
        while let Some(any) = next {
            if any.mark.is_some_and(|mark| !self.enters_first(mark)) {
                return;
            }
            any.node.destinations.iter().for_each(&mut *visit);
            if !any.node.words.is_empty() || any.node.one.is_some() {
                self.staying.push(&any.node);
            }
            next = any.node.any.as_deref();
        }
    }

    fn enters_first(&mut self, mark: usize) -> bool {
        let bit = 1 << (mark % 64);
        let word = &mut self.entered[mark / 64];
        let first = *word & bit == 0;
        *word |= bit;
        first
    }
}

/// Small numbers for the `#` nodes that can be entered twice.
#[derive(Debug, Default)]
struct Marks {
    free: Vec<usize>,
    /// Every number given is below this.
    bound: usize,
}

impl Marks {
    fn give(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.bound += 1;
            self.bound - 1
        })
    }

    fn take_back(&mut self, mark: Option<usize>) {
        self.free.extend(mark);
        if self.free.len() == self.bound {
            *self = Marks::default();
        }
    }
}

/// The words of a key. The empty key has none, not one empty word: `#` matches it and `*` does not.
fn words(key: &str) -> impl Iterator<Item = &str> {
    (!key.is_empty()).then(|| key.split('.')).into_iter().flatten()
}

#[cfg(test)]
mod tests;
