#include "testing/memory_disk.h"

#include <algorithm>
#include <cstring>

namespace mynah::testing {

namespace {

BlockGeometry plain_geometry(uint64_t size) {
    BlockGeometry geometry;
    geometry.size = size;
    geometry.can_discard = true;
    geometry.can_write_zeroes = true;
    geometry.max_discard_size = size;
    geometry.max_write_zeroes_size = size;
    return geometry;
}

}  // namespace

MemoryDisk::MemoryDisk(uint64_t size) : MemoryDisk(plain_geometry(size)) {}
MemoryDisk::MemoryDisk(BlockGeometry geometry) : geometry_(geometry), bytes_(geometry.size) {}

void MemoryDisk::submit(BlockRequest& request) {
    {
        std::lock_guard hold(lock_);
        records_.push_back(
            {request.operation, request.offset, request.size, request.durable, request.may_unmap});
        if (hold_) {
            held_.push_back(&request);
            return;
        }
    }
    request.completion->block_done(request, perform(request));
}

BlockStatus MemoryDisk::perform(BlockRequest& request) {
    std::lock_guard hold(lock_);
    if (failure_) return *failure_;
    if (request.operation == BlockOperation::kFlush) return BlockStatus::kOk;
    if (request.offset > bytes_.size() || request.size > bytes_.size() - request.offset) {
        return BlockStatus::kIoError;
    }
    std::byte* place = bytes_.data() + request.offset;
    switch (request.operation) {
        case BlockOperation::kRead:
            for (const Slice slice : request.slices) {
                std::memcpy(slice.data(), place, slice.size());
                place += slice.size();
            }
            break;
        case BlockOperation::kWrite:
            for (const Slice slice : request.slices) {
                std::memcpy(place, slice.data(), slice.size());
                place += slice.size();
            }
            break;
        case BlockOperation::kDiscard:
            std::fill_n(place, request.size, std::byte{0xdd});
            break;
        case BlockOperation::kWriteZeroes:
            std::fill_n(place, request.size, std::byte{0});
            break;
        case BlockOperation::kFlush:
            break;
    }
    return BlockStatus::kOk;
}

std::vector<MemoryDisk::Record> MemoryDisk::records() const {
    std::lock_guard hold(lock_);
    return records_;
}

size_t MemoryDisk::held() const {
    std::lock_guard hold(lock_);
    return held_.size();
}

bool MemoryDisk::release_one() {
    BlockRequest* request = nullptr;
    {
        std::lock_guard hold(lock_);
        if (held_.empty()) return false;
        request = held_.front();
        held_.pop_front();
    }
    request->completion->block_done(*request, perform(*request));
    return true;
}

void MemoryDisk::release_all() {
    while (release_one()) {
    }
}

}  // namespace mynah::testing
