#ifndef CLEVELLOG_H
#define CLEVELLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct leveldb_env_t leveldb_env_t;

/// LevelDB's own environment, except for logs and tables. Its write-ahead logs grow in steps of `step` bytes of zeros, written ahead of use;
/// with 0 they grow with every write. A new log's name is on the disk before anything is written to it, and a log that is closed is
/// synced if its last writes were not; when that fails, no later sync succeeds.
///
/// A log that grows with every write makes each fdatasync write the file's new size as well, through the filesystem's journal
/// where there is one; a log that is already that long makes it write the data alone. What is flushed goes to the system with
/// pwrite, so a killed process loses nothing of it. The rest of a log that was not closed is zeros, which `LogTail` cuts off
/// before the database is opened.
///
/// Tables go to the disk while they are written, 256 KiB at a time, so that no sync of a log waits behind a whole table. The thread
/// that merges them rests after each piece, six times as long as it took and 42 ms at most, so that what clients wait for has the
/// processors and the disk meanwhile; not while a write has been under way for 20 ms, nor while the owner says that tables are behind.
///
/// `leveldb_env_destroy` ends it, after the database is closed. NULL when the LevelDB at hand keeps its C environments in
/// another shape than 1.23 does, or when there is no memory: then LevelDB's default environment serves.
leveldb_env_t *gyre_log_env_create(size_t step);

/// Around each write to the database; one thread writes. `env` is one that `gyre_log_env_create` gave, here and below.
void gyre_log_env_write_begins(leveldb_env_t *env);
void gyre_log_env_write_ends(leveldb_env_t *env);

/// How long the thread that merges tables rests after `took` microseconds of work, in microseconds: not at all while tables are behind,
/// nor after a write has been under way for `writing` microseconds (0 when none is), which then waits for them. Any thread.
int64_t gyre_table_rest(int64_t took, bool is_behind, int64_t writing);

/// Whether more tables wait to be merged than is good for reads and writes. Any thread.
void gyre_log_env_set_behind(leveldb_env_t *env, bool is_behind);

#ifdef __cplusplus
}
#endif

#endif
