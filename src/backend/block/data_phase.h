#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/block/medium_job.h"

namespace mynah {

// The data of one command of a disk or drive, and its work on the medium. Whoever carries the
// command (a host adapter, a USB bridge) moves `size` bytes: between the host and the medium if
// work is a read or a write, else between the host and `buffer`.
struct DataPhase {
    enum class Direction : uint8_t { kNone, kToHost, kFromHost };

    Direction direction = Direction::kNone;
    uint64_t size = 0;            // bytes
    std::vector<uint8_t> buffer;  // kToHost: what to send; kFromHost: room for what comes
    MediumWork work;
    bool repeats_buffer = false;  // the work writes the buffer again and again; see repeated()

    // True if the data go to or come from the medium, not the buffer.
    bool with_medium() const {
        return work.any() && !repeats_buffer &&
               (work.operation == BlockOperation::kRead ||
                work.operation == BlockOperation::kWrite);
    }
    void clear() {
        direction = Direction::kNone;
        size = 0;
        buffer.clear();
        work.clear();
        repeats_buffer = false;
    }
    // Sends these bytes, at most `limit` of them.
    void send(std::span<const uint8_t> bytes, uint64_t limit = ~uint64_t{0}) {
        const auto part = bytes.first(std::min<uint64_t>(bytes.size(), limit));
        buffer.assign(part.begin(), part.end());
        size = part.size();
        direction = size == 0 ? Direction::kNone : Direction::kToHost;
    }
    // Receives this many bytes into the buffer.
    void receive(uint32_t bytes) {
        buffer.assign(bytes, 0);
        size = bytes;
        direction = Direction::kFromHost;
    }
    // Moves [offset, offset+bytes) of the medium to or from the host.
    void transfer(BlockOperation operation, BlockBackend& backend, uint64_t offset,
                  uint64_t bytes) {
        work.operation = operation;
        work.backend = &backend;
        work.ranges.assign(1, {offset, bytes});
        size = bytes;
        direction = operation == BlockOperation::kRead ? Direction::kToHost : Direction::kFromHost;
    }
    // The slices of work that repeats the buffer; the last may be a part of it.
    std::vector<Slice> repeated() {
        const Slice once = std::as_writable_bytes(std::span(buffer));
        std::vector<Slice> slices;
        uint64_t left = work.ranges.front().size;
        slices.reserve(left / once.size() + 1);
        for (; left >= once.size(); left -= once.size()) slices.push_back(once);
        if (left > 0) slices.push_back(once.first(left));
        return slices;
    }
    // Makes durable what was written.
    void flush(BlockBackend& backend) {
        work.operation = BlockOperation::kFlush;
        work.backend = &backend;
        work.ranges.assign(1, {0, 0});
    }
};

}  // namespace mynah
