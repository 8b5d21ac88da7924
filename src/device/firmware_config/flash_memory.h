#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/mutex.h"
#include "bus/io_handler.h"
#include "bus/serial_update.h"
#include "device/firmware_config/flash28f.h"
#include "memory/guest_memory.h"

namespace mynah {

// Where a flash memory's content is kept when the machine is off.
class FlashStore {
  public:
    virtual ~FlashStore() = default;
    // On the vCPU's thread. What cannot be saved is the host's to report.
    virtual void save(uint64_t offset, std::span<const std::byte> content) = 0;
};

// Puts a Flash28F into guest memory: while it is read as an array, its content is memory that the
// guest reads and runs directly; writes, and reads in other modes, come here. Any thread.
class FlashMemory final : public IoHandler {
  public:
    // block: the content, of whole flash blocks. store: null for one that cannot be written.
    // allowed: whether the processor on the calling thread may send commands (it is in system
    // management mode); null: it always may.
    FlashMemory(GuestMemory& memory, GuestPhys start, const GuestMemory::Block& block,
                FlashStore* store, std::function<bool()> allowed = nullptr);

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    // The content stays.
    void reset() EXCLUDES(mutex_);

    GuestPhys start() const { return start_; }
    uint64_t size() const { return block_.size; }

  private:
    void note(const Flash28F::Changed& changed) REQUIRES(mutex_);
    void update() EXCLUDES(mutex_);
    void save() EXCLUDES(mutex_);

    GuestMemory& memory_;
    const GuestPhys start_;
    const GuestMemory::Block block_;
    FlashStore* const store_;
    const std::function<bool()> allowed_;
    unsigned slot_;
    SerialUpdate update_, save_;
    Mutex mutex_;
    Flash28F chip_ GUARDED_BY(mutex_);
    // What the store does not have yet: [unsaved_start_, unsaved_end_).
    uint64_t unsaved_start_ GUARDED_BY(mutex_) = 0, unsaved_end_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mynah
