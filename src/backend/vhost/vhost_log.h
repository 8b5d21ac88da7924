#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "backend/vhost/foreign_mapping.h"
#include "backend/vhost/shared_memory.h"
#include "backend/vhost/vhost_user_messages.h"
#include "base/result.h"
#include "memory/address.h"

namespace mynah {

// The log of a back end's writes: a bit for each page of guest memory, which the back end sets and
// the front end reads and clears [vhost-user, "Migration"]. Several back ends may share one.
class VhostLog {
  public:
    static constexpr uint64_t kLogPage = 4096;  // VHOST_LOG_PAGE

    // A front end's, for addresses below `end`. Error: the host refuses, a clause.
    static Result<std::unique_ptr<VhostLog>> create(uint64_t end);
    // A back end's, as a front end gave it. Error: it is not what it should be, a clause.
    static Result<std::unique_ptr<VhostLog>> adopt(Fd fd, const vhost_user::LogArea& area);

    int fd() const { return shared_ ? shared_->fd() : foreign_->fd(); }
    vhost_user::LogArea area() const { return {bytes_.size(), shared_ ? 0 : foreign_->offset()}; }

    // Bytes were written to. What lies beyond the log is not kept: the front end did not ask for
    // it. Any thread.
    void mark(GuestPhys start, uint64_t size) const;
    // Calls back for each page marked since the last time, by its address.
    void collect(const std::function<void(GuestPhys page)>& marked) const;

  private:
    VhostLog() = default;

    std::unique_ptr<SharedMemory> shared_;
    std::unique_ptr<ForeignMapping> foreign_;
    std::span<std::byte> bytes_;  // of either
};

}  // namespace mynah
