//! Parser events to documents, with go-yaml v2's mappings, merges and aliases. pure

use std::collections::{BTreeSet, HashMap};

use granit_parser::{ErrorKind, Event, Marker, Parser, ScanError, Span, StrInput};
use serde_json::{Map, Value};

use super::{
    Document, Limits, LineMap, Notes, YamlError, lines,
    scalar::{self, Scalar},
    text::number,
};

/// JSON text that nests deeper than this cannot be read back by `serde_json`.
const DEEPEST: usize = 120;

/// Bytes of text behind an alias that count as one more value: copies of long texts are what an alias bomb is made of.
const TEXT_PER_NODE: usize = 64;

pub(super) fn compose(text: &str, limits: &Limits, notes: &mut Notes) -> Result<Vec<Document>, YamlError> {
    let depth = limits.depth.min(DEEPEST);
    // The parser's own nesting bound is only a second fence: the composer counts first, aliases included.
    let options = granit_parser::options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
        bom_inside_document_as_content: true,
        flow_nesting_limit: depth + 1,
        block_nesting_limit: depth + 1,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let budget = limits.nodes;
    Composer { parser, limits, depth, budget, anchors: HashMap::new(), lines: Vec::new(), notes }.documents()
}

/// What an anchor stands for.
struct Anchored {
    value: Value,
    /// Its text as a mapping key.
    key: Result<String, &'static str>,
    /// Values in it, with long texts counted by their size.
    weight: usize,
    /// Levels of nesting in it.
    height: usize,
}

struct Composer<'a, 'n> {
    parser: Parser<'a, StrInput<'a>>,
    limits: &'a Limits,
    depth: usize,
    budget: usize,
    anchors: HashMap<usize, Anchored>,
    lines: Vec<(u32, u32)>,
    notes: &'n mut Notes,
}

type Next<'a> = (Event<'a>, Span);

impl<'a> Composer<'a, '_> {
    fn documents(mut self) -> Result<Vec<Document>, YamlError> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(documents),
                Event::DocumentStart(_, version) => {
                    if version.is_some_and(|v| (v.major, v.minor) != (1, 1)) {
                        return Err(error(span.start, "Kubernetes' parser takes no %YAML directive but 1.1"));
                    }
                    if documents.len() >= self.limits.documents {
                        return Err(error(span.start, format!("more than the {} documents allowed in one file", self.limits.documents)));
                    }
                    self.anchors.clear();
                    let root = self.next()?;
                    let line = number(root.1.start.line());
                    self.lines.push((lines::ROOT, line));
                    let value = self.node(root, 0, lines::ROOT)?.0;
                    let lines = LineMap::new(std::mem::take(&mut self.lines));
                    documents.push(Document { value, line, lines });
                }
                _ => return Err(error(span.start, "content outside of a document")),
            }
        }
    }

    fn next(&mut self) -> Result<Next<'a>, YamlError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(scan)) => Err(self.scan_error(&scan)),
            None => Err(YamlError { line: 1, column: 1, reason: "the file ends too early".to_owned() }),
        }
    }

    fn scan_error(&self, scan: &ScanError) -> YamlError {
        let reason = match scan.kind() {
            // These would quote what stands in the file.
            ErrorKind::UnexpectedCharacter { .. } => "a character that cannot start a value; quote the text".to_owned(),
            ErrorKind::Custom(_) | ErrorKind::InputDecoding { .. } | ErrorKind::InputIo { .. } => "not YAML".to_owned(),
            ErrorKind::RecursionLimitExceeded => self.too_deep(),
            kind => kind.to_string(),
        };
        error(*scan.marker(), reason)
    }

    fn too_deep(&self) -> String {
        format!("lists and mappings are nested more than {} levels deep", self.depth)
    }

    fn spend(&mut self, weight: usize, at: Span) -> Result<(), YamlError> {
        match self.budget.checked_sub(weight) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(error(at.start, format!("more than {} values, aliases expanded", self.limits.nodes))),
        }
    }

    /// Composes the node that starts with this event; also says how high it is.
    fn node(&mut self, (event, span): Next<'a>, depth: usize, path: u32) -> Result<(Value, usize), YamlError> {
        self.spend(1, span)?;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let fail = |reason| error(span.start, reason);
                let scalar = scalar::resolve(&text, style, tag.as_deref()).map_err(fail)?;
                let key = (anchor != 0).then(|| scalar.key());
                let value = scalar.into_value().map_err(fail)?;
                if let Some(key) = key {
                    self.remember(anchor, &value, key, 0, span)?;
                }
                Ok((value, 0))
            }
            Event::Alias(id) => {
                let Some(anchored) = self.anchors.get(&id) else {
                    return Err(error(span.start, "an anchor's value contains the anchor itself"));
                };
                let (value, weight, height) = (anchored.value.clone(), anchored.weight, anchored.height);
                if depth + height > self.depth {
                    return Err(error(span.start, self.too_deep()));
                }
                self.spend(weight, span)?;
                Ok((value, height))
            }
            Event::SequenceStart(_, anchor, _) => {
                self.enter(depth, span)?;
                let (value, height) = self.sequence(depth + 1, path)?;
                self.leave(anchor, value, height + 1, span)
            }
            Event::MappingStart(_, anchor, _) => {
                self.enter(depth, span)?;
                let (map, height) = self.mapping(depth + 1, path)?;
                self.leave(anchor, Value::Object(map), height + 1, span)
            }
            _ => Err(error(span.start, "a value is missing")),
        }
    }

    fn enter(&self, depth: usize, span: Span) -> Result<(), YamlError> {
        if depth >= self.depth { Err(error(span.start, self.too_deep())) } else { Ok(()) }
    }

    fn leave(&mut self, anchor: usize, value: Value, height: usize, span: Span) -> Result<(Value, usize), YamlError> {
        if anchor != 0 {
            self.remember(anchor, &value, Err("a list or a mapping as a key"), height, span)?;
        }
        Ok((value, height))
    }

    fn remember(&mut self, anchor: usize, value: &Value, key: Result<String, &'static str>, height: usize, span: Span) -> Result<(), YamlError> {
        let weight = weigh(value);
        // The kept copy is memory too: anchors inside anchors would otherwise copy the innermost once per level for free.
        self.spend(weight, span)?;
        self.anchors.insert(anchor, Anchored { value: value.clone(), key, weight, height });
        Ok(())
    }

    fn sequence(&mut self, depth: usize, path: u32) -> Result<(Value, usize), YamlError> {
        let (mut items, mut height) = (Vec::new(), 0);
        loop {
            let next = self.next()?;
            if next.0 == Event::SequenceEnd {
                return Ok((Value::Array(items), height));
            }
            let path = lines::item(path, items.len());
            self.lines.push((path, number(next.1.start.line())));
            let (value, below) = self.node(next, depth, path)?;
            height = height.max(below);
            items.push(value);
        }
    }

    fn mapping(&mut self, depth: usize, path: u32) -> Result<(Map<String, Value>, usize), YamlError> {
        let (mut map, mut height) = (Map::new(), 0);
        let mut merged: BTreeSet<String> = BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            let line = number(span.start.line());
            let key = match &event {
                Event::MappingEnd => return Ok((map, height)),
                Event::Scalar(text, style, _, tag) if scalar::is_merge(text, *style, tag.as_deref()) => {
                    let below = self.merge(&mut map, &mut merged, depth, path, line)?;
                    height = height.max(below);
                    continue;
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let fail = |reason| error(span.start, reason);
                    let scalar = scalar::resolve(text, *style, tag.as_deref()).map_err(fail)?;
                    let key = scalar.key();
                    if *anchor != 0 {
                        self.remember_key(*anchor, scalar, &key, span)?;
                    }
                    key.map_err(fail)?
                }
                Event::Alias(id) => match self.anchors.get(id).map(|a| a.key.clone()) {
                    Some(key) => key.map_err(|reason| error(span.start, reason))?,
                    None => return Err(error(span.start, "an anchor's value contains the anchor itself")),
                },
                _ => return Err(error(span.start, "a list or a mapping as a key; a template that was not rendered looks like this too")),
            };
            let below = lines::member(path, &key);
            self.lines.push((below, line));
            let next = self.next()?;
            let (value, grown) = self.node(next, depth, below)?;
            height = height.max(grown);
            let first_told_here = !merged.remove(&key);
            if map.insert(key, value).is_some() && first_told_here {
                self.notes.add(line, "duplicate_key", "this key is set before in the same mapping; the last one wins, as in Kubernetes");
            }
        }
    }

    fn remember_key(&mut self, anchor: usize, scalar: Scalar, key: &Result<String, &'static str>, span: Span) -> Result<(), YamlError> {
        let value = scalar.into_value().map_err(|reason| error(span.start, reason))?;
        self.remember(anchor, &value, key.clone(), 0, span)
    }

    /// `<<: value`. It acts where it stands: what is set before it is overridden, unlike in the YAML specification.
    fn merge(&mut self, map: &mut Map<String, Value>, merged: &mut BTreeSet<String>, depth: usize, path: u32, line: u32) -> Result<usize, YamlError> {
        let next = self.next()?;
        let span = next.1;
        // A mapping written in place keeps its own lines; what comes through an alias is told by the line of the merge.
        let inline = matches!(next.0, Event::MappingStart(..));
        let (value, height) = self.node(next, depth, path)?;
        let mut parts = match value {
            Value::Object(part) => vec![part],
            Value::Array(items) if items.iter().all(Value::is_object) => items.into_iter().filter_map(object).collect(),
            _ => return Err(error(span.start, "`<<` needs a mapping or a list of mappings")),
        };
        // The first of several wins, so the last is applied first.
        parts.reverse();
        for (key, value) in parts.into_iter().flatten() {
            if !inline {
                self.lines.push((lines::member(path, &key), line));
            }
            if map.insert(key.clone(), value).is_some() && !merged.contains(&key) {
                let message = "this merge overrides a key that is set above it, as in Kubernetes but unlike in the YAML specification";
                self.notes.add(line, "merge_overrides", message);
            }
            merged.insert(key);
        }
        Ok(height)
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// Values in a tree, with long texts counted by their size.
fn weigh(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len() / TEXT_PER_NODE,
        Value::Array(list) => 1 + list.iter().map(weigh).sum::<usize>(),
        Value::Object(map) => 1 + map.iter().map(|(k, v)| weigh(v) + k.len() / TEXT_PER_NODE).sum::<usize>(),
        _ => 1,
    }
}

fn error(at: Marker, reason: impl Into<String>) -> YamlError {
    YamlError { line: number(at.line()), column: number(at.col() + 1), reason: reason.into() }
}
