//! Who is hit, in any of the forms it may be written in.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::{Map, Text};

/// A selector: a word, a list of ids, or a map with one key.
#[derive(Debug)]
pub enum Selector {
    /// Such as `controller`.
    Word(String),
    /// Such as `[1, 3]`.
    List(Vec<Text>),
    /// Such as `leader_of: 0`.
    Map(Map<Text>),
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsWritten;
        impl<'de> Visitor<'de> for AsWritten {
            type Value = Selector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all`, `controller`, `random`, ids such as `[1, 2]`, or a map such as `leader_of: 0`")
            }

            fn visit_str<E>(self, word: &str) -> Result<Selector, E> {
                Ok(Selector::Word(word.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Selector, E> {
                Ok(Selector::Word(number.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Selector, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Selector::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Selector, A::Error> {
                Map::deserialize(MapAccessDeserializer::new(map)).map(Selector::Map)
            }
        }
        deserializer.deserialize_any(AsWritten)
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Word(word) => serializer.serialize_str(word),
            Self::List(ids) => ids.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}
