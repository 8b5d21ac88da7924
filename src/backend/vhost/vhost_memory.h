#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "backend/vhost/vhost_log.h"
#include "backend/vhost/vhost_user_socket.h"
#include "base/mutex.h"
#include "base/result.h"
#include "memory/guest_memory.h"
#include "memory/memory_map.h"

namespace mynah {

// The memory of a front end's guest as a back end knows it: its regions, given as a table or one at
// a time (slots), mapped; and, while the front end asks for it, the log of what is written there.
//
// Every write that is reported to the memory's WriteWatch is logged at the address where the guest
// has it, rings included: so the log address of a ring (vhost_vring_addr.log), which without an
// IOMMU is that of its used part, says nothing new.
class VhostMemory {
  public:
    static constexpr size_t kMaxSlots = MemoryMap::kMostRam;
    static_assert(kMaxSlots >= vhost_user::kMaxTableRegions);

    struct Region {
        vhost_user::MemoryRegion where;
        Fd fd;
    };
    // What the memory would be. Null: there would be none.
    struct Proposal {
        std::vector<Region> regions;
        std::unique_ptr<GuestMemory> memory;
    };
    // Error: the message contradicts itself, or names what is not there; nothing has changed.
    Result<Proposal> table(VhostUserMessage& message) const;
    Result<Proposal> with(VhostUserMessage& message) const;
    Result<Proposal> without(const VhostUserMessage& message) const;
    // The same without a message: a piece more, or without all that lie in a range of addresses.
    Result<Proposal> with(const vhost_user::MemoryRegion& where, Fd fd) const;
    Result<Proposal> without(uint64_t guest_address, uint64_t size) const;
    // Nobody uses the old memory any more.
    void accept(Proposal proposal);

    GuestMemory* memory() const { return memory_.get(); }
    // Where a byte of the front end's is in the guest's memory.
    std::optional<GuestPhys> translate(uint64_t user_address) const;

    // Null: none. Writes go to it while `on`. Any moment; the writers' threads go on.
    void set_log(std::unique_ptr<VhostLog> log);
    bool has_log() const { return has_log_; }
    void log_writes(bool on);

  private:
    class Writes final : public WriteWatch::Listener {
      public:
        explicit Writes(GuestMemory& memory);
        ~Writes();
        void set_log(const VhostLog* log) EXCLUDES(mutex_);

      private:
        void written(uint64_t page, unsigned begin, unsigned end) override EXCLUDES(mutex_);

        GuestMemory& memory_;
        unsigned index_ = 0;
        bool watched_ = false;
        Mutex mutex_;
        const VhostLog* log_ GUARDED_BY(mutex_) = nullptr;
    };

    Result<Proposal> propose(std::vector<Region> regions) const;
    Result<std::vector<Region>> copy_if(
        const std::function<bool(const vhost_user::MemoryRegion&)>& wanted) const;
    void update_log();

    std::vector<Region> regions_;
    std::unique_ptr<GuestMemory> memory_;
    std::unique_ptr<VhostLog> log_;
    std::unique_ptr<Writes> writes_;  // of memory_
    bool has_log_ = false, logging_ = false;
};

}  // namespace mynah
