#include "include/clevellog.h"

#include <errno.h>
#include <fcntl.h>
#include <leveldb/c.h>
#include <leveldb/env.h>
#include <string.h>
#include <unistd.h>

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

/// A log that is longer than what was written to it. Used by one thread at a time, as LevelDB promises.
class GrownLog final : public leveldb::WritableFile {
  public:
    GrownLog(std::string name, int descriptor, size_t step)
        : name_(std::move(name)), descriptor_(descriptor), zeros_(step, '\0') {}

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
        return status;
    }

    Status Sync() override {
        Status status = Flush();
        if (!status.ok()) return status;
        return fdatasync(descriptor_) == 0 ? Status::OK() : failure(name_);
    }

    Status Close() override {
        Status status = Flush();
        // A log that was closed ends where its last record does; that this is late after a power cut harms nobody.
        if (ftruncate(descriptor_, static_cast<off_t>(end_)) != 0 && status.ok()) status = failure(name_);
        if (close(descriptor_) != 0 && status.ok()) status = failure(name_);
        descriptor_ = -1;
        return status;
    }

  private:
    /// Zeros up to at least `length`, as data and not as a hole, which a sync would have to fill.
    Status Grow(size_t length) {
        while (length_ < length) {
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
};

class GrownLogEnv final : public leveldb::EnvWrapper {
  public:
    GrownLogEnv(leveldb::Env *base, size_t step) : EnvWrapper(base), step_(step) {}

    Status NewWritableFile(const std::string &name, leveldb::WritableFile **result) override {
        static const char suffix[] = ".log";
        const size_t count = sizeof(suffix) - 1;
        if (name.size() < count || name.compare(name.size() - count, count, suffix) != 0) {
            return EnvWrapper::NewWritableFile(name, result);
        }
        *result = nullptr;
        int descriptor = open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (descriptor < 0) return failure(name);
        *result = new GrownLog(name, descriptor, step_);
        return Status::OK();
    }

  private:
    const size_t step_;
};

}  // namespace

leveldb_env_t *gyre_log_env_create(size_t step) {
    std::unique_ptr<leveldb_env_t, void (*)(leveldb_env_t *)> known(
        leveldb_create_default_env(), leveldb_env_destroy);
    if (known == nullptr || step == 0) return nullptr;
    if (known->rep != leveldb::Env::Default() || !known->is_default) return nullptr;
    auto *env = new (std::nothrow) leveldb_env_t;
    if (env == nullptr) return nullptr;
    env->rep = new (std::nothrow) GrownLogEnv(known->rep, step);
    env->is_default = false;
    if (env->rep == nullptr) {
        delete env;
        return nullptr;
    }
    return env;
}
