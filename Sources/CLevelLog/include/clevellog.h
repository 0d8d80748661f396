#ifndef CLEVELLOG_H
#define CLEVELLOG_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct leveldb_env_t leveldb_env_t;

/// LevelDB's own environment, except for logs and tables. Its write-ahead logs grow in steps of `step` bytes of zeros, written ahead of use.
///
/// A log that grows with every write makes each fdatasync write the file's new size as well, through the filesystem's journal
/// where there is one; a log that is already that long makes it write the data alone. What is flushed goes to the system with
/// pwrite, so a killed process loses nothing of it. The rest of a log that was not closed is zeros, which `LogTail` cuts off
/// before the database is opened.
///
/// Tables go to the disk while they are written, 256 KiB at a time, so that no sync of a log waits behind a whole table.
///
/// `leveldb_env_destroy` ends it, after the database is closed. NULL when the LevelDB at hand keeps its C environments in
/// another shape than 1.23 does, or when there is no memory: then LevelDB's default environment serves.
leveldb_env_t *gyre_log_env_create(size_t step);

#ifdef __cplusplus
}
#endif

#endif
