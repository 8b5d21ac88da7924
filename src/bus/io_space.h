#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "bus/bell.h"
#include "bus/io_handler.h"

namespace mynah {

// The ranges of one address space (ports, or memory that is not RAM) and who answers in each.
// Ranges are added while the machine is built; look-ups come from any vCPU thread. Nobody home:
// reads give all ones, writes are dropped. An access that straddles ranges is split into bytes.
class IoSpace {
  public:
    IoSpace();
    ~IoSpace();
    IoSpace(const IoSpace&) = delete;
    IoSpace& operator=(const IoSpace&) = delete;

    // Who is told of bells from here on: set once, before there are any; outlives the space's users.
    void tell_bells(BellListener& listener, BellListener::Space space) {
        listener_ = &listener;
        kind_ = space;
    }

    // The handler must outlive this space. Error: the range overlaps one that is there.
    Result<void> add(std::string name, uint64_t start, uint64_t size, IoHandler& handler,
                     std::span<const Bell> bells = {});

    // Ranges that come, move and go while the machine runs (PCI BARs). Where one overlaps a range
    // of add(), that one answers; among movable ones, the one that was placed first. place() moves
    // a handler that is placed already. After withdraw() no call begins; one that is under way on
    // another thread may still run. Any thread, also from within a handler.
    //
    // forget(): the handler is about to go. Withdraws it and waits for calls that are under way; so
    // not from within one.
    void place(uint64_t start, uint64_t size, IoHandler& handler,
               std::span<const Bell> bells = {}) EXCLUDES(mutex_);
    void withdraw(IoHandler& handler) EXCLUDES(mutex_);
    void forget(IoHandler& handler) EXCLUDES(mutex_);

    uint64_t read(uint64_t address, unsigned size);
    void write(uint64_t address, unsigned size, uint64_t value);

  private:
    struct Range;
    struct Table;
    struct Found {
        IoHandler* handler = nullptr;
        uint64_t start = 0, last = 0;
        std::atomic<uint32_t>* calls = nullptr;  // of a movable one: counted already
    };
    Found find(uint64_t address) EXCLUDES(mutex_);
    void remove(IoHandler& handler) EXCLUDES(mutex_);

    BellListener* listener_ = nullptr;
    BellListener::Space kind_{};
    std::unique_ptr<Table> table_;
    Mutex mutex_;
    struct Placed {
        uint64_t start, last;
        IoHandler* handler;
        std::atomic<uint32_t>* calls;
    };
    // Calls under way of every handler that was ever placed and not forgotten.
    std::unordered_map<IoHandler*, std::unique_ptr<std::atomic<uint32_t>>> calls_
        GUARDED_BY(mutex_);
    std::vector<Placed> placed_ GUARDED_BY(mutex_);  // in the order in which they were placed
    std::atomic<bool> any_placed_{false};
};

}  // namespace mynah
