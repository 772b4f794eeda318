-- Each paragraph is one probe: its name in a comment, then one statement whose rows are the answer.

-- version
show server_version

-- extensions
select name, default_version from pg_available_extensions order by name

-- contrib
create extension pg_trgm; create extension hstore; create extension unaccent; create extension pgcrypto;
create extension btree_gist; create extension "uuid-ossp"; create extension citext; create extension fuzzystrmatch;
create extension postgres_fdw; create extension dblink; create extension ltree; create extension intarray;
create extension xml2; create extension tablefunc; create extension pg_stat_statements; create extension pgstattuple;
select similarity('hello', 'hallo'), 'a=>1'::hstore -> 'a', unaccent('Hôtel'), levenshtein('a', 'b')

-- digests
select encode(digest('x', 'sha512'), 'hex'), encode(digest('x', 'md5'), 'hex'), crypt('p', '$2a$06$0000000000000000000000'),
  pgp_sym_decrypt(pgp_sym_encrypt('hello', 'key'), 'key')

-- languages
select lanname from pg_language order by lanname

-- procedure
create function answer() returns int language plpgsql as $$ begin raise notice 'hi'; return 42; exception when others then return 0; end $$;
do $$ begin perform answer(); end $$; select answer()

-- text_search_configurations
select cfgname from pg_ts_config order by cfgname

-- text_search
select cfg, to_tsvector(cfg::regconfig, 'running houses maisons Häuser the') from unnest(array['english', 'french', 'german', 'russian', 'simple', 'finnish', 'turkish']) cfg

-- text_search_dictionaries
select dictname, ts_lexize(dictname::regdictionary, 'running') from pg_ts_dict order by dictname

-- text_search_templates
create text search dictionary syn (template = synonym, synonyms = synonym_sample);
create text search dictionary th (template = thesaurus, dictfile = thesaurus_sample, dictionary = english_stem);
create text search dictionary isp (template = ispell, dictfile = ispell_sample, afffile = ispell_sample, stopwords = english);
select ts_lexize('syn', 'postgres'), ts_lexize('isp', 'bookings'), tmplname from pg_ts_template order by tmplname

-- copy
create table copied (a int, b text); copy (select 7, 'é') to '/tmp/copied'; copy copied from '/tmp/copied'; select * from copied

-- copy_by_program
copy copied from program 'echo "8	sh"'; select count(*) from copied

-- expressions
select regexp_matches('été 2026', '(\w+)\s(\d+)'), 'x' ~* '^X$', 'É' ~* 'é', regexp_replace('aaa', 'a{2}', 'b'), upper('straße'), initcap('ça va')

-- collations_there_are
select collprovider::text, count(*) from pg_collation group by 1 order by 1

-- collations
select array(select w from unnest(array['ä', 'a', 'z', 'Z']) w order by w collate "C"),
  array(select w from unnest(array['ä', 'a', 'z', 'Z']) w order by w collate "C.utf8"),
  array(select w from unnest(array['ä', 'a', 'z', 'Z']) w order by w collate "sv-x-icu"),
  array(select w from unnest(array['ä', 'a', 'z', 'Z']) w order by w collate "de-x-icu")

-- collation_made
create collation numbers (provider = icu, locale = 'en-u-kn-true', deterministic = false);
select array(select w from unnest(array['a10', 'a9']) w order by w collate numbers), 'ﬁ' = 'fi' collate numbers, collversion is not null from pg_collation where collname = 'numbers'

-- zones
select count(*), count(*) filter (where is_dst is not null) from pg_timezone_names where name not like 'posix%'

-- zone_abbreviations
select count(*) from pg_timezone_abbrevs

-- times
select timestamptz '2026-07-01 12:00 Europe/Paris' at time zone 'Asia/Tokyo', timezone('America/New_York', timestamptz '2026-02-01 00:00Z'), to_char(date '2026-02-01', 'TMDay DD Month'), age(date '2026-02-01', date '2000-01-01'), interval '1 mon' + date '2026-01-31'

-- encodings
select e, encode(convert_to(t, e), 'hex') from (values ('LATIN2', 'żółw'), ('WIN1250', 'żółw'), ('KOI8R', 'ночь'), ('SJIS', '日本'), ('GB18030', '中文'), ('BIG5', '中文'), ('EUC_KR', '한글'), ('UHC', '한글'), ('LATIN1', 'é'), ('ISO_8859_5', 'ночь'), ('EUC_JP', '日本'), ('JOHAB', '한글')) v (e, t)

-- client_encodings
set client_encoding to latin1; set client_encoding to win1251; set client_encoding to euc_tw; set client_encoding to utf8; show client_encoding

-- conversions
select count(*) from pg_conversion

-- databases_in_other_words
select datname, pg_encoding_to_char(encoding), datcollate, datlocprovider::text from pg_database order by 1

-- xml
select xmlparse(document '<a><b>1</b></a>'), xpath('/a/b/text()', '<a><b>1</b></a>'), xmlelement(name x, 'y'), xml_valid('<a/>')

-- json
select jsonb_path_query('{"a": [1, 2]}', '$.a[*] ? (@ > 1)'), json_build_object('a', 1), '{"a": 1}'::jsonb || '{"b": 2}', jsonb_pretty('{}')

-- series_without_jit
set jit = off; select sum(n), avg(n), count(distinct n % 7) from generate_series(1, 100000) n

-- parallel_work
set jit = off; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0; set debug_parallel_query = on;
create table many as select n from generate_series(1, 50000) n; select count(*), sum(n) from many

-- compression
create table packed (a text compression lz4, b text compression pglz); insert into packed values (repeat('x', 10000), repeat('y', 10000));
select pg_column_compression(a), pg_column_compression(b), length(a), length(b) from packed

-- compression_of_wal
set wal_compression = zstd; set wal_compression = lz4; show wal_compression

-- tls
alter system set ssl = on;
select pg_reload_conf(), (select setting from pg_settings where name = 'ssl_library')

-- indexes
create table i (t text, j jsonb, p point, r int4range); create index on i using gin (j); create index on i using gist (p); create index on i using brin (t);
create index on i using hash (t); create index on i using gin (t gin_trgm_ops); create index on i using spgist (p); select amname from pg_am order by 1

-- foreign_data
create server other foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1'); select srvname from pg_foreign_server

-- replication
select pg_create_physical_replication_slot('s') is not null, (select name from pg_available_extension_versions where name = 'pg_walinspect' limit 1)

-- logical_decoding
show wal_level

-- information
select count(*) > 50 from information_schema.tables where table_schema = 'information_schema'

-- settings
select name, setting from pg_settings where name in ('TimeZone', 'lc_messages', 'lc_collate', 'server_encoding', 'huge_pages', 'data_checksums', 'default_text_search_config', 'timezone_abbreviations', 'log_timezone', 'DateStyle', 'dynamic_shared_memory_type') order by 1

-- errors
do $$ begin begin perform 1 / 0; exception when division_by_zero then raise notice 'x'; end; end $$; select 'Europe/Nowhere' is not null

-- maintenance
vacuum analyze copied

-- statistics
select count(*) > 100 from pg_stats

-- loaded_library
load 'auto_explain'; load 'passwordcheck'; select 1

-- dynamic_libraries
create function broken() returns int language c as '$libdir/nothing', 'x'
