-- What stands for {id} is each database's own.
CREATE TABLE IF NOT EXISTS items (
    sku   TEXT PRIMARY KEY,
    stock BIGINT NOT NULL CHECK (stock >= 0)
);
CREATE TABLE IF NOT EXISTS orders (
    id       {id},
    customer TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS lines (
    id       {id},
    order_id BIGINT NOT NULL REFERENCES orders (id),
    sku      TEXT NOT NULL REFERENCES items (sku),
    quantity BIGINT NOT NULL CHECK (quantity > 0)
);
INSERT INTO items (sku, stock) VALUES ('cup', 4), ('tea', 10) ON CONFLICT DO NOTHING;
