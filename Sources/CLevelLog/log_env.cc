#include "include/clevellog.h"

#include <errno.h>
#include <fcntl.h>
#include <leveldb/c.h>
#include <leveldb/env.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <string>

// What `db/c.cc` of LevelDB 1.23 keeps behind its opaque pointer. `gyre_log_env_create` checks that it still does.
struct leveldb_env_t {
    leveldb::Env *rep;
    bool is_default;
};

namespace {

using leveldb::Slice;
using leveldb::Status;

Status failure(const std::string &name) { return Status::IOError(name, strerror(errno)); }

/// Writes all of it at `offset`, or says why not.
Status writeAll(int descriptor, const std::string &name, const char *bytes, size_t count, size_t offset) {
    while (count > 0) {
        ssize_t written = pwrite(descriptor, bytes, count, static_cast<off_t>(offset));
        if (written < 0) {
            if (errno == EINTR) continue;
            return failure(name);
        }
        bytes += written;
        count -= static_cast<size_t>(written);
        offset += static_cast<size_t>(written);
    }
    return Status::OK();
}

/// A log that is longer than what was written to it, by a step of zeros, or none. Used by one thread at a time, as LevelDB promises.
class GrownLog final : public leveldb::WritableFile {
  public:
    /// `is_lost` is common to all logs of a database, and outlives them.
    GrownLog(std::string name, int descriptor, size_t step, std::atomic<bool> &is_lost)
        : name_(std::move(name)), descriptor_(descriptor), zeros_(step, '\0'), is_lost_(is_lost) {}

    ~GrownLog() override {
        if (descriptor_ >= 0) Close();
    }

    /// LevelDB flushes after at most one block of its log, 32 KiB.
    Status Append(const Slice &data) override {
        waiting_.append(data.data(), data.size());
        return Status::OK();
    }

    Status Flush() override {
        if (waiting_.empty()) return Status::OK();
        Status status = Grow(end_ + waiting_.size());
        if (status.ok()) status = writeAll(descriptor_, name_, waiting_.data(), waiting_.size(), end_);
        if (!status.ok()) return status;
        end_ += waiting_.size();
        waiting_.clear();
        is_synced_ = false;
        return status;
    }

    /// What was written to the logs before this one is on the disk too, or this fails.
    Status Sync() override {
        Status status = Flush();
        if (!status.ok()) return status;
        if (is_lost_) return Status::IOError(name_, "the log before it could not be written to the disk");
        if (fdatasync(descriptor_) != 0) return failure(name_);
        is_synced_ = true;
        return status;
    }

    /// LevelDB closes a log for the next one without a sync and without a look at what became of it; a write that asks to be synced
    /// goes to the next log alone, and those before it would be anywhere.
    Status Close() override {
        Status status = Flush();
        if (status.ok() && !is_synced_ && fdatasync(descriptor_) != 0) status = failure(name_);
        if (!status.ok()) is_lost_ = true;
        // A log that was closed ends where its last record does; that this is late after a power cut harms nobody.
        if (ftruncate(descriptor_, static_cast<off_t>(end_)) != 0 && status.ok()) status = failure(name_);
        if (close(descriptor_) != 0 && status.ok()) status = failure(name_);
        descriptor_ = -1;
        return status;
    }

  private:
    /// Zeros up to at least `length`, as data and not as a hole, which a sync would have to fill.
    Status Grow(size_t length) {
        while (length_ < length && !zeros_.empty()) {
            Status status = writeAll(descriptor_, name_, zeros_.data(), zeros_.size(), length_);
            if (!status.ok()) return status;
            length_ += zeros_.size();
        }
        return Status::OK();
    }

    const std::string name_;
    int descriptor_;
    const std::string zeros_;
    std::string waiting_;
    /// Where the log ends.
    size_t end_ = 0;
    /// Where the file does.
    size_t length_ = 0;
    bool is_synced_ = true;
    std::atomic<bool> &is_lost_;
};

int64_t monotonicMicroseconds() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
}

/// How long the thread for tables may rest between two pieces of its work. Any thread.
class TableRest {
  public:
    void writeBegins() { writing_.store(monotonicMicroseconds(), std::memory_order_relaxed); }
    void writeEnds() { writing_.store(0, std::memory_order_relaxed); }
    void setBehind(bool isBehind) { isBehind_.store(isBehind, std::memory_order_relaxed); }

    /// Rests after a piece of work of so many microseconds.
    void after(int64_t took) const {
        const int64_t since = writing_.load(std::memory_order_relaxed);
        const int64_t writing = since == 0 ? 0 : monotonicMicroseconds() - since;
        const int64_t rest = gyre_table_rest(took, isBehind_.load(std::memory_order_relaxed), writing);
        if (rest <= 0) return;
        timespec time{0, static_cast<long>(rest) * 1'000};
        nanosleep(&time, nullptr);
    }

  private:
    /// Since when a write is under way; zero when none is.
    std::atomic<int64_t> writing_{0};
    std::atomic<bool> isBehind_{false};
};

/// Whether this thread is the one that LevelDB merges tables on. Others that write one, as when a store is opened, never rest.
thread_local bool isTableThread = false;

/// A table whose bytes go to the disk while it is written. Left to its end, a sync would send many MiB at once, and the syncs of
/// the log, for which clients wait, would stand behind them.
class SteadyTable final : public leveldb::WritableFile {
  public:
    SteadyTable(std::string name, int descriptor, const TableRest &rest)
        : name_(std::move(name)), descriptor_(descriptor), rest_(rest), worked_(monotonicMicroseconds()) {}

    ~SteadyTable() override {
        if (descriptor_ >= 0) Close();
    }

    Status Append(const Slice &data) override {
        waiting_.append(data.data(), data.size());
        return Flush();
    }

    /// LevelDB asks for it after each block of 4 KiB; nobody reads a table before it was synced.
    Status Flush() override { return waiting_.size() < kWriteBytes ? Status::OK() : Write(); }

    Status Sync() override {
        Status status = Write();
        if (!status.ok()) return status;
        return fdatasync(descriptor_) == 0 ? Status::OK() : failure(name_);
    }

    Status Close() override {
        Status status = Write();
        if (close(descriptor_) != 0 && status.ok()) status = failure(name_);
        descriptor_ = -1;
        return status;
    }

  private:
    /// All that waits, and from step to step a word to the system.
    Status Write() {
        if (waiting_.empty()) return Status::OK();
        Status status = writeAll(descriptor_, name_, waiting_.data(), waiting_.size(), end_);
        if (!status.ok()) return status;
        end_ += waiting_.size();
        waiting_.clear();
        if (end_ - begun_ < kStepBytes) return status;
        // Begins to write the last step, and waits for the one before it.
        if (steady_) status = Range(begun_, end_, SYNC_FILE_RANGE_WRITE);
        if (steady_ && status.ok() && begun_ > done_) status = Range(done_, begun_, SYNC_FILE_RANGE_WAIT_BEFORE);
        done_ = begun_;
        begun_ = end_;
        if (status.ok() && isTableThread) {
            rest_.after(monotonicMicroseconds() - worked_);
            worked_ = monotonicMicroseconds();
        }
        return status;
    }

    /// An error counts, since the system tells each one once: a sync after it would find nothing amiss. Where the call does not
    /// exist or is not allowed, which its first use shows, the sync at the end does it all.
    Status Range(size_t from, size_t to, unsigned flags) {
        if (sync_file_range(descriptor_, static_cast<off_t>(from), static_cast<off_t>(to - from), flags) == 0) {
            return Status::OK();
        }
        if (errno == ENOSYS || (errno == EPERM && flags == SYNC_FILE_RANGE_WRITE && from == 0)) {
            steady_ = false;
            return Status::OK();
        }
        return failure(name_);
    }

    static constexpr size_t kWriteBytes = 64 << 10;
    static constexpr size_t kStepBytes = 256 << 10;

    const std::string name_;
    int descriptor_;
    const TableRest &rest_;
    /// When the piece of work under way began.
    int64_t worked_;
    std::string waiting_;
    /// Where the table ends, without what waits; up to where it was begun to be written to the disk; up to where that is done.
    size_t end_ = 0;
    size_t begun_ = 0;
    size_t done_ = 0;
    bool steady_ = true;
};

class ServingEnv final : public leveldb::EnvWrapper {
  public:
    ServingEnv(leveldb::Env *base, size_t step) : EnvWrapper(base), step_(step) {}

    Status NewWritableFile(const std::string &name, leveldb::WritableFile **result) override {
        const bool isLog = Ends(name, ".log");
        if (!isLog && !Ends(name, ".ldb")) return EnvWrapper::NewWritableFile(name, result);
        *result = nullptr;
        int descriptor = open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (descriptor < 0) return failure(name);
        if (isLog) {
            // LevelDB syncs the directory for its manifest alone; until then a power cut could take the whole log.
            Status status = SyncDirectoryOf(name);
            if (!status.ok()) {
                close(descriptor);
                return status;
            }
            *result = new GrownLog(name, descriptor, step_, is_lost_);
        } else {
            *result = new SteadyTable(name, descriptor, rest_);
        }
        return Status::OK();
    }

    TableRest &rest() { return rest_; }

    /// LevelDB's thread for tables gives way to the threads that serve: while it and they want the processors, clients would wait
    /// several slices of time for each step of their requests. It keeps a share, as writers wait for tables in the end.
    void Schedule(void (*function)(void *), void *argument) override {
        auto *work = new (std::nothrow) Work{function, argument};
        if (work == nullptr) return EnvWrapper::Schedule(function, argument);
        EnvWrapper::Schedule(&ServingEnv::Run, work);
    }

  private:
    struct Work {
        void (*function)(void *);
        void *argument;
    };

    static void Run(void *argument) {
        // A thread inherits the name of the one that starts it, which is the writer's.
        static thread_local const bool isNamed [[maybe_unused]] =
            prctl(PR_SET_NAME, "gyre-tables") == 0 && setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice) == 0;
        isTableThread = true;
        std::unique_ptr<Work> work(static_cast<Work *>(argument));
        work->function(work->argument);
    }

    static constexpr int kNice = 5;

    static bool Ends(const std::string &name, const char *suffix) {
        const size_t count = strlen(suffix);
        return name.size() >= count && name.compare(name.size() - count, count, suffix) == 0;
    }

    static Status SyncDirectoryOf(const std::string &name) {
        const size_t slash = name.rfind('/');
        const std::string path = slash == std::string::npos ? "." : name.substr(0, slash + 1);
        const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0) return failure(path);
        Status status = fsync(descriptor) == 0 ? Status::OK() : failure(path);
        close(descriptor);
        return status;
    }

    const size_t step_;
    std::atomic<bool> is_lost_{false};
    TableRest rest_;
};

TableRest &restOf(leveldb_env_t *env) { return static_cast<ServingEnv *>(env->rep)->rest(); }

}  // namespace

int64_t gyre_table_rest(int64_t took, bool is_behind, int64_t writing) {
    // Six times as long: after much was written nobody waits for merges, and three replicas do the same ones at about the same time.
    constexpr int64_t kFactor = 6;
    constexpr int64_t kMost = 42'000;
    constexpr int64_t kWriteWaits = 20'000;
    if (is_behind || writing > kWriteWaits) return 0;
    return std::clamp<int64_t>(took, 0, kMost / kFactor) * kFactor;
}

leveldb_env_t *gyre_log_env_create(size_t step) {
    std::unique_ptr<leveldb_env_t, void (*)(leveldb_env_t *)> known(
        leveldb_create_default_env(), leveldb_env_destroy);
    if (known == nullptr) return nullptr;
    if (known->rep != leveldb::Env::Default() || !known->is_default) return nullptr;
    auto *env = new (std::nothrow) leveldb_env_t;
    if (env == nullptr) return nullptr;
    env->rep = new (std::nothrow) ServingEnv(known->rep, step);
    env->is_default = false;
    if (env->rep == nullptr) {
        delete env;
        return nullptr;
    }
    return env;
}

void gyre_log_env_write_begins(leveldb_env_t *env) { restOf(env).writeBegins(); }

void gyre_log_env_write_ends(leveldb_env_t *env) { restOf(env).writeEnds(); }

void gyre_log_env_set_behind(leveldb_env_t *env, bool is_behind) { restOf(env).setBehind(is_behind); }
