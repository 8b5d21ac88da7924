#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "bus/interrupt_line.h"
#include "bus/io_handler.h"
#include "testing/manual_clock.h"

namespace mynah::testing {

// Takes numbers off a string of bytes; zeros when it has run out.
class ByteSource {
 public:
    explicit ByteSource(std::span<const uint8_t> bytes) : bytes_(bytes) {}
    bool empty() const { return bytes_.empty(); }
    uint64_t take(unsigned size) {
        uint64_t value = 0;
        for (unsigned i = 0; i < size && !bytes_.empty(); ++i) {
            value |= uint64_t{bytes_.front()} << (8 * i);
            bytes_ = bytes_.subspan(1);
        }
        return value;
    }

 private:
    std::span<const uint8_t> bytes_;
};

// A fake motherboard that drives devices from bytes, as a hostile guest and a jumpy host would:
// accesses of any register and size, time that goes by evenly or in leaps, wires that toggle.
// For fuzz targets and for tests with random bytes.
class ByteBoard {
 public:
    // largest: the widest access, in bytes: 4 for ports, 8 for memory.
    void add(IoHandler& handler, uint64_t size, unsigned largest = 4) {
        ranges_.push_back({&handler, size, largest});
    }
    void add(InterruptLine& line) { lines_.push_back(&line); }
    // Something else a guest or host can do, with a number to do it with.
    void add(std::function<void(ByteSource&)> action) { actions_.push_back(std::move(action)); }

    ManualClock& clock() { return clock_; }
    void run(std::span<const uint8_t> bytes);

 private:
    struct Range {
        IoHandler* handler;
        uint64_t size;
        unsigned largest;
    };
    void access(ByteSource& source, bool write);
    void pass_time(ByteSource& source);

    ManualClock clock_;
    std::vector<Range> ranges_;
    std::vector<InterruptLine*> lines_;
    std::vector<std::function<void(ByteSource&)>> actions_;
    uint64_t time_left_ns_ = 0;
};

}  // namespace mynah::testing
