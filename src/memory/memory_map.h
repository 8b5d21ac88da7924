#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "memory/address.h"

namespace mynah {

// Which of a processor's two address spaces: system management mode sees memory of its own.
enum class MemoryView : uint8_t { kNormal, kManagement };

// What is seen at [start, start+size) instead of what lies below it.
struct MemoryOverlay {
    enum class Kind : uint8_t {
        kNothing,   // the slot is not in use
        kHole,      // no memory: accesses go to devices
        kReadOnly,  // memory; writes go to devices
        kMemory,
    };
    GuestPhys start{0};
    uint64_t size = 0;  // bytes; both multiples of kPageSize
    Kind kind = Kind::kNothing;
    uint64_t offset = 0;                    // kReadOnly, kMemory: in the backing file
    bool normal = true, management = true;  // in which views
};

// From guest-physical addresses to places in the backing file of guest memory: RAM ranges that
// never change, and over them overlays that come and go while the machine runs. Look-ups take no
// lock: they read a table of a fixed size and read it again if it changed meanwhile.
class MemoryMap {
  public:
    struct Run {
        uint64_t offset;  // in the backing file
        uint64_t size;    // bytes from there on that lie side by side
        bool writable;
    };
    struct Ram {
        GuestPhys start;
        uint64_t size, offset;
    };
    static constexpr unsigned kOverlays = 64;
    static constexpr size_t kMostRam = 32;  // ranges

    explicit MemoryMap(std::span<const Ram> ram);

    // The memory at `address`; false if there is none.
    bool find(GuestPhys address, MemoryView view, Run& run) const;

    // A slot for an overlay; CHECKs that one is left. Of overlapping ones the latest slot wins.
    unsigned take_slot() EXCLUDES(mutex_);
    // True if it makes a difference.
    bool set(unsigned slot, const MemoryOverlay& overlay) EXCLUDES(mutex_);

    // What a processor sees at [start, end): memory that lies side by side.
    struct Segment {
        uint64_t start = 0, end = 0, offset = 0;
        bool writable = false;
        bool operator==(const Segment&) const = default;
    };
    std::vector<Segment> segments(MemoryView view) const EXCLUDES(mutex_);

  private:
    static constexpr unsigned kSegments = 2 * (kOverlays + kMostRam);
    // Largest segments first, as most addresses lie there.
    struct Table {
        struct Place {
            std::atomic<uint64_t> start, end, offset;
            std::atomic<bool> writable;
        };
        std::atomic<uint32_t> version{0};  // odd while it is written
        std::atomic<uint32_t> count{0};
        std::array<Place, kSegments> places;
        std::vector<Segment> written;  // what the places say, for comparing
    };

    std::vector<Segment> flatten(MemoryView view) const REQUIRES(mutex_);
    bool publish(Table& table, std::vector<Segment> segments) REQUIRES(mutex_);

    const std::vector<Ram> ram_;
    mutable Mutex mutex_;
    std::vector<MemoryOverlay> overlays_ GUARDED_BY(mutex_);
    std::array<Table, 2> tables_;
};

}  // namespace mynah
