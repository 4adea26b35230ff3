//! What the example API tells about. All in memory, of a fixed size, and the same at each start.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Something to answer with.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) content: Value,
    /// Changes whenever the content does.
    pub(super) etag: String,
    pub(super) last_modified: SystemTime,
    /// As in `Cache-Tag`.
    pub(super) tags: String,
}

/// The shop's books.
#[derive(Debug)]
pub(super) struct Shop {
    products: Vec<Product>,
    changes: u32,
}

#[derive(Debug, Serialize)]
struct Product {
    id: u32,
    name: String,
    price_cents: u32,
    /// How many changes the shop had seen when this one was made.
    #[serde(skip)]
    changed: u32,
}

/// What a PUT or POST may change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    name: Option<String>,
    price_cents: Option<u32>,
}

const PRODUCTS: u32 = 100;
const ORDERS: u32 = 10_000;
const NAMES: [&str; 8] = [
    "Cheddar",
    "Quince jelly",
    "Smoked ham",
    "Oatcakes",
    "Pickled onions",
    "Elderflower cordial",
    "Rye bread",
    "Damson jam",
];

impl Shop {
    pub(super) fn new() -> Self {
        let products = (1..=PRODUCTS).map(|id| Product {
            id,
            name: NAMES.get(id as usize % NAMES.len()).copied().unwrap_or_default().to_owned(),
            price_cents: 195 + id * 37 % 900,
            changed: 0,
        });
        Self { products: products.collect(), changes: 0 }
    }

    /// All products.
    pub(super) fn list(&self) -> Document {
        Document {
            content: json!({ "products": self.products }),
            etag: format!("\"products-{}\"", self.changes),
            last_modified: date(self.changes),
            tags: "products".to_owned(),
        }
    }

    /// One product.
    pub(super) fn product(&self, id: u32) -> Option<Document> {
        let product = self.products.iter().find(|product| product.id == id)?;
        Some(Document {
            content: json!(product),
            etag: format!("\"{id}-{}\"", product.changed),
            last_modified: date(product.changed),
            tags: format!("product-{id},products"),
        })
    }

    /// Changes a product and tells what it is now.
    pub(super) fn change(&mut self, id: u32, change: Change) -> Option<Document> {
        let product = self.products.iter_mut().find(|product| product.id == id)?;
        self.changes += 1;
        product.changed = self.changes;
        if let Some(name) = change.name {
            product.name = name;
        }
        if let Some(price) = change.price_cents {
            product.price_cents = price;
        }
        self.product(id)
    }

    /// One order; it never changes.
    pub(super) fn order(&self, id: u32) -> Option<Document> {
        (1..=ORDERS).contains(&id).then(|| Document {
            content: json!({
                "id": id,
                "product": id * 7 % PRODUCTS + 1,
                "count": id % 3 + 1,
                "status": "shipped",
            }),
            etag: format!("\"order-{id}\""),
            last_modified: date(0),
            tags: format!("order-{id},orders"),
        })
    }
}

/// The shop's calendar moves by a second with each change, so that it needs no clock and is never ahead of one.
fn date(changes: u32) -> SystemTime {
    const OPENING: Duration = Duration::from_secs(1_767_225_600);
    UNIX_EPOCH + OPENING + Duration::from_secs(u64::from(changes))
}
