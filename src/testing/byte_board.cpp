#include "testing/byte_board.h"

#include <algorithm>

namespace mynah::testing {
namespace {

// Evenly passing time in one run: enough for every timer to fire, not enough to be slow.
constexpr uint64_t kTimeNs = 200'000'000;

}  // namespace

void ByteBoard::access(ByteSource& source, bool write) {
    if (ranges_.empty()) return;
    const Range& range = ranges_[source.take(1) % ranges_.size()];
    unsigned size = 1u << (source.take(1) % 4);
    size = std::min<unsigned>(size, range.largest);
    while (size > range.size) size /= 2;
    const uint64_t offset = source.take(range.size > 256 ? 2 : 1) % (range.size - size + 1);
    if (write) {
        range.handler->write(offset, size, source.take(size));
    } else {
        range.handler->read(offset, size);
    }
}

void ByteBoard::pass_time(ByteSource& source) {
    const unsigned exponent = static_cast<unsigned>(source.take(1));
    const uint64_t ns = uint64_t{1} << exponent % 28;
    if (exponent >= 200) {
        // The clock's thread was away for up to minutes.
        clock_.jump(ns << 9);
        clock_.advance(0);
        return;
    }
    const uint64_t step = std::min(ns, time_left_ns_);
    time_left_ns_ -= step;
    clock_.advance(step);
}

void ByteBoard::run(std::span<const uint8_t> bytes) {
    ByteSource source(bytes);
    time_left_ns_ = kTimeNs;
    while (!source.empty()) {
        const uint64_t what = source.take(1) % 8;
        if (what < 2) {
            access(source, false);
        } else if (what < 5) {
            access(source, true);
        } else if (what == 5) {
            pass_time(source);
        } else if (what == 6 && !lines_.empty()) {
            const uint64_t choice = source.take(1);
            lines_[(choice >> 1) % lines_.size()]->set((choice & 1) != 0);
        } else if (what == 7 && !actions_.empty()) {
            actions_[source.take(1) % actions_.size()](source);
        }
    }
}

}  // namespace mynah::testing
