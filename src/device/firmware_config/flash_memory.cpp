#include "device/firmware_config/flash_memory.h"

#include <algorithm>

#include "base/check.h"
#include "device/firmware_config/flash28f_registers.h"

namespace mynah {

FlashMemory::FlashMemory(GuestMemory& memory, GuestPhys start, const GuestMemory::Block& block,
                         FlashStore* store, std::function<bool()> allowed)
    : memory_(memory),
      start_(start),
      block_(block),
      store_(store),
      allowed_(std::move(allowed)),
      slot_(memory.take_overlay()),
      chip_(std::span(block.host, block.size), store != nullptr) {
    CHECK(block.size % flash::kBlockBytes == 0);
    update();
}

void FlashMemory::update() {
    update_.request([this] {
        bool array;
        {
            MutexLock lock(mutex_);
            array = chip_.reads_array();
        }
        memory_.set_overlay(
            slot_, {.start = start_,
                    .size = block_.size,
                    .kind = array ? MemoryOverlay::Kind::kReadOnly : MemoryOverlay::Kind::kHole,
                    .offset = block_.offset});
    });
}

uint64_t FlashMemory::read(uint64_t offset, unsigned size) {
    uint64_t value = 0;
    MutexLock lock(mutex_);
    for (unsigned i = 0; i < size; ++i) value |= uint64_t{chip_.read(offset + i)} << (8 * i);
    return value;
}

// One chip of eight bits: a wider write is that many cycles.
void FlashMemory::write(uint64_t offset, unsigned size, uint64_t value) {
    if (allowed_ && !allowed_()) return;
    bool before, after;
    {
        MutexLock lock(mutex_);
        before = chip_.reads_array();
        for (unsigned i = 0; i < size; ++i)
            note(chip_.write(offset + i, static_cast<uint8_t>(value >> (8 * i))));
        after = chip_.reads_array();
    }
    if (before == after) return;
    update();
    if (after) save();
}

// Saved together when the guest goes back to reading.
void FlashMemory::note(const Flash28F::Changed& changed) {
    if (changed.size == 0) return;
    memory_.watch().wrote(block_.host + changed.offset, changed.size);
    const uint64_t end = changed.offset + changed.size;
    const bool none = unsaved_start_ == unsaved_end_;
    unsaved_start_ = none ? changed.offset : std::min(unsaved_start_, changed.offset);
    unsaved_end_ = none ? end : std::max(unsaved_end_, end);
}

void FlashMemory::save() {
    if (store_ == nullptr) return;
    save_.request([this] {
        uint64_t start, end;
        {
            MutexLock lock(mutex_);
            start = unsaved_start_, end = unsaved_end_;
            unsaved_start_ = unsaved_end_ = 0;
        }
        if (start != end) store_->save(start, std::span(block_.host + start, end - start));
    });
}

void FlashMemory::reset() {
    {
        MutexLock lock(mutex_);
        chip_.reset();
    }
    update();
    save();
}

}  // namespace mynah
