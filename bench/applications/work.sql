-- A small database in memory: inserts, an index, joins, updates, deletions, a check.
BEGIN;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, kind INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
  INSERT INTO item SELECT i, 'item ' || (i * 7919 % 10007), i * 0.25 + i % 13, i % 97 FROM n;
CREATE TABLE kind(id INTEGER PRIMARY KEY, label TEXT);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 96)
  INSERT INTO kind SELECT i, printf('kind-%03d', i) FROM n;
CREATE INDEX by_name ON item(name);
COMMIT;
SELECT k.label, count(*), round(sum(i.price), 3) FROM item i JOIN kind k ON k.id = i.kind
  GROUP BY k.label ORDER BY 3 DESC LIMIT 5;
UPDATE item SET price = price * 1.1 WHERE kind < 20;
DELETE FROM item WHERE id % 11 = 0;
SELECT count(*), max(name), min(name) FROM item WHERE name LIKE '%7%';
SELECT count(*) FROM item a JOIN item b ON a.name = b.name WHERE a.id < b.id;
PRAGMA integrity_check;
