#include "paravirt/vhost/driver_ring.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"

namespace mynah {

using virtio::Descriptor;

namespace {

constexpr uint64_t kPage = 4096;

constexpr uint64_t table_bytes(uint16_t entries) {
    return uint64_t{DriverRing::kPiecesPerEntry} * entries * sizeof(Descriptor);
}
constexpr uint64_t available_at(uint16_t entries) { return sizeof(Descriptor) * entries; }
constexpr uint64_t used_at(uint16_t entries) {
    return align_up(available_at(entries) + virtio::avail_bytes(entries), uint64_t{64});
}
constexpr uint64_t tables_at(uint16_t entries) {
    return align_up(used_at(entries) + virtio::used_bytes(entries), kPage);
}

}  // namespace

uint64_t DriverRing::memory_size(uint16_t entries) {
    return align_up(tables_at(entries) + entries * table_bytes(entries), kPage);
}

DriverRing::DriverRing(std::span<std::byte> memory, uint64_t address, uint16_t entries)
    : memory_(memory),
      address_(address),
      entries_(entries),
      available_at_(mynah::available_at(entries)),
      used_at_(mynah::used_at(entries)),
      tables_at_(mynah::tables_at(entries)),
      held_by_(entries) {
    CHECK(std::has_single_bit(entries) && memory.size() >= memory_size(entries));
    restart(false);
}

void DriverRing::restart(bool indirect) {
    std::memset(memory_.data(), 0, tables_at_);
    indirect_ = indirect;
    broken_ = false;
    next_available_ = next_used_ = 0;
    free_.clear();
    for (uint16_t i = entries_; i > 0; --i) free_.push_back(static_cast<uint16_t>(i - 1));
    for (auto& held : held_by_) held.clear();
}

bool DriverRing::possible(size_t pieces) const {
    return pieces > 0 && pieces <= (indirect_ ? kPiecesPerEntry : 1) * size_t{entries_};
}

void DriverRing::put_descriptor(uint64_t at, const Descriptor& descriptor) {
    std::memcpy(memory_.data() + at, &descriptor, sizeof descriptor);
}

void DriverRing::put_table(uint16_t head, std::span<const Piece> pieces) {
    const uint64_t table = tables_at_ + head * table_bytes(entries_);
    for (size_t i = 0; i < pieces.size(); ++i) {
        const bool last = i + 1 == pieces.size();
        const unsigned flags = (pieces[i].writable ? virtio::kDescWrite : 0u) |
                               (last ? 0u : virtio::kDescNext);
        put_descriptor(table + i * sizeof(Descriptor),
                       {pieces[i].address, pieces[i].length, static_cast<uint16_t>(flags),
                        static_cast<uint16_t>(last ? 0 : i + 1)});
    }
    put_descriptor(head * sizeof(Descriptor),
                   {address_ + table, static_cast<uint32_t>(pieces.size() * sizeof(Descriptor)),
                    virtio::kDescIndirect, 0});
}

void DriverRing::put_chain(uint16_t head, std::span<const Piece> pieces) {
    const std::vector<uint16_t>& held = held_by_[head];
    for (size_t i = 0; i < pieces.size(); ++i) {
        const bool last = i + 1 == pieces.size();
        const unsigned flags = (pieces[i].writable ? virtio::kDescWrite : 0u) |
                               (last ? 0u : virtio::kDescNext);
        put_descriptor(held[i] * sizeof(Descriptor),
                       {pieces[i].address, pieces[i].length, static_cast<uint16_t>(flags),
                        last ? uint16_t{0} : held[i + 1]});
    }
}

uint16_t DriverRing::add(std::span<const Piece> pieces) {
    CHECK(possible(pieces.size()) && fits(pieces.size()));
    const uint16_t head = free_.back();
    const bool table = indirect_ && pieces.size() > 1;
    for (size_t i = 0; i < descriptors_for(pieces.size()); ++i) {
        held_by_[head].push_back(free_.back());
        free_.pop_back();
    }
    table ? put_table(head, pieces) : put_chain(head, pieces);
    const auto slot = static_cast<uint16_t>(next_available_++ & (entries_ - 1));
    std::byte* const available = memory_.data() + available_at_;
    store_unaligned(available + virtio::avail_entry(slot), head);
    __atomic_store_n(reinterpret_cast<uint16_t*>(available + virtio::kAvailIdx), next_available_,
                     __ATOMIC_RELEASE);
    return head;
}

bool DriverRing::wants_kick() const {
    // Our index is out before its wish is read; the back end does it the other way round
    // [virtio-1.2 2.7.10].
    std::atomic_thread_fence(std::memory_order_seq_cst);
    constexpr uint16_t kNoNotify = 1;  // VIRTQ_USED_F_NO_NOTIFY [virtio-1.2 2.7.8]
    const auto* const flags =
        reinterpret_cast<const uint16_t*>(memory_.data() + used_at_ + virtio::kUsedFlags);
    return (__atomic_load_n(flags, __ATOMIC_RELAXED) & kNoNotify) == 0;
}

std::optional<virtio::UsedElement> DriverRing::take_used() {
    if (broken_) return std::nullopt;
    const std::byte* const used = memory_.data() + used_at_;
    const uint16_t index = __atomic_load_n(
        reinterpret_cast<const uint16_t*>(used + virtio::kUsedIdx), __ATOMIC_ACQUIRE);
    if (index == next_used_) return std::nullopt;
    const auto slot = static_cast<uint16_t>(next_used_ & (entries_ - 1));
    const auto element = load_unaligned<virtio::UsedElement>(used + virtio::used_entry(slot));
    if (element.id >= entries_ || held_by_[element.id].empty()) {
        broken_ = true;
        return std::nullopt;
    }
    ++next_used_;
    std::vector<uint16_t>& held = held_by_[element.id];
    while (!held.empty()) {
        free_.push_back(held.back());
        held.pop_back();
    }
    return element;
}

}  // namespace mynah
