#include "backend/block/vhdx/vhdx_log.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "backend/block/image/byte_order.h"

namespace mynah {

using namespace vhdx;

namespace {

constexpr uint64_t kEntryHeader = 64, kDescriptor = 32;
constexpr uint64_t kDataBytes = 4084;  // of a sector that its data sector holds; the rest is in the descriptor
// Bound of what an entry may zero, for images that were made to do harm.
constexpr uint64_t kMaxZeroSectors = 16384;
constexpr uint64_t kMaxLookedAt = 8;  // times the log's length

uint64_t descriptor_sectors(uint64_t count) {
    return (kEntryHeader + count * kDescriptor + kSector - 1) / kSector;
}

}  // namespace

VhdxLog::VhdxLog(ImageFile& file, const Header& header)
    : file_(file), id_(header.log), offset_(header.log_offset), length_(header.log_length) {}

size_t VhdxLog::max_sectors() const {
    // One entry never fills more than half of the ring: the one before it stays whole meanwhile.
    return static_cast<size_t>(length_ / kSector / 2 - 4);
}

BlockStatus VhdxLog::read_ring(uint64_t at, std::span<std::byte> to) {
    while (!to.empty()) {
        const uint64_t part = std::min<uint64_t>(to.size(), length_ - at % length_);
        TRY_BLOCK(file_.read_bytes(offset_ + at % length_, to.first(part)));
        at += part;
        to = to.subspan(part);
    }
    return BlockStatus::kOk;
}

BlockStatus VhdxLog::read_entry(uint64_t at, Entry& entry, bool& valid) {
    valid = false;
    std::vector<std::byte> head(kSector);
    TRY_BLOCK(read_ring(at, head));
    if (std::memcmp(head.data(), "loge", 4) != 0 || std::memcmp(&head[32], id_.data(), 16) != 0)
        return BlockStatus::kOk;
    entry.at = at;
    entry.length = load_little<uint32_t>(&head[8]);
    entry.tail = load_little<uint32_t>(&head[12]);
    entry.sequence = load_little<uint64_t>(&head[16]);
    entry.file_end = load_little<uint64_t>(&head[48]);
    entry.last_file_offset = load_little<uint64_t>(&head[56]);
    if (entry.length == 0 || entry.length % kSector != 0 || entry.length > length_ ||
        entry.tail % kSector != 0 || entry.tail >= length_ || entry.sequence == 0)
        return BlockStatus::kOk;
    // Every sector could claim to begin an entry as long as the log.
    looked_at_ += entry.length;
    if (looked_at_ > kMaxLookedAt * length_) return BlockStatus::kIoError;
    entry.bytes.resize(entry.length);
    TRY_BLOCK(read_ring(at, entry.bytes));
    std::vector<std::byte> copy = entry.bytes;
    std::memset(&copy[4], 0, 4);
    valid = crc32c(copy) == load_little<uint32_t>(&entry.bytes[4]);
    return BlockStatus::kOk;
}

// The sequence of entries that counts (2.3.3): the one whose last entry has the highest number.
BlockStatus VhdxLog::active_entries(std::vector<Entry>& entries) {
    entries.clear();
    looked_at_ = 0;
    std::vector<Entry> run;
    for (uint64_t start = 0; start < length_;) {
        run.clear();
        uint64_t at = start, used = 0;
        for (;;) {
            Entry entry;
            bool valid = false;
            TRY_BLOCK(read_entry(at, entry, valid));
            if (!valid || used + entry.length > length_) break;
            if (!run.empty() && entry.sequence != run.back().sequence + 1) break;
            used += entry.length;
            at = (at + entry.length) % length_;
            run.push_back(std::move(entry));
        }
        if (run.empty()) {
            start += kSector;
            continue;
        }
        const uint64_t after = start + used;
        if (entries.empty() || run.back().sequence > entries.back().sequence) {
            // It begins where its last entry says.
            const uint64_t tail = run.back().tail;
            const auto first = std::ranges::find(run, tail, &Entry::at);
            if (first != run.end()) {
                run.erase(run.begin(), first);
                entries = std::move(run);
            }
        }
        start = after;
    }
    return BlockStatus::kOk;
}

// What an entry writes; false: it contradicts itself.
bool VhdxLog::collect(const Entry& entry, Sectors& sectors, uint64_t& zeroed) {
    const uint32_t count = load_little<uint32_t>(&entry.bytes[24]);
    const uint64_t first_data = descriptor_sectors(count);
    if (count > entry.length / kDescriptor || first_data * kSector > entry.length) return false;
    uint64_t data = first_data;
    for (uint32_t i = 0; i < count; ++i) {
        const std::byte* descriptor = &entry.bytes[kEntryHeader + i * kDescriptor];
        const uint64_t place = load_little<uint64_t>(descriptor + 16);
        if (load_little<uint64_t>(descriptor + 24) != entry.sequence || place % kSector != 0 ||
            place > uint64_t{1} << 56)
            return false;
        if (std::memcmp(descriptor, "zero", 4) == 0) {
            const uint64_t length = load_little<uint64_t>(descriptor + 8);
            zeroed += length / kSector;
            if (length % kSector != 0 || zeroed > kMaxZeroSectors) return false;
            for (uint64_t at = 0; at < length; at += kSector)
                sectors[place + at].assign(kSector, std::byte{0});
            continue;
        }
        if (std::memcmp(descriptor, "desc", 4) != 0 || (data + 1) * kSector > entry.length)
            return false;
        const std::byte* sector = &entry.bytes[data++ * kSector];
        const uint64_t number = uint64_t{load_little<uint32_t>(sector + 4)} << 32 |
                                load_little<uint32_t>(sector + 4092);
        if (std::memcmp(sector, "data", 4) != 0 || number != entry.sequence) return false;
        std::vector<std::byte>& bytes = sectors[place];
        bytes.resize(kSector);
        std::memcpy(&bytes[0], descriptor + 8, 8);
        std::memcpy(&bytes[8], sector + 8, kDataBytes);
        std::memcpy(&bytes[4092], descriptor + 4, 4);
    }
    return true;
}

Result<VhdxLog::Sectors> VhdxLog::pending() {
    Sectors sectors;
    if (id_ == Guid{}) return sectors;
    std::vector<Entry> entries;
    TRY(expect_ok(file_, "read", active_entries(entries)));
    uint64_t zeroed = 0;
    for (const Entry& entry : entries) {
        if (!collect(entry, sectors, zeroed))
            return image_error(file_, "is no usable VHDX image: its log is damaged");
        if (entry.file_end > file_.size())
            return image_error(file_, "is no usable VHDX image: it was cut short");
    }
    return sectors;
}

Result<void> VhdxLog::replay(bool& changed) {
    const Sectors sectors = TRY(pending());
    changed = !sectors.empty();
    for (const auto& [place, bytes] : sectors)
        TRY(expect_ok(file_, "written", file_.write_bytes(place, bytes)));
    if (changed) TRY(expect_ok(file_, "written", file_.flush()));
    return {};
}

BlockStatus VhdxLog::append(const Sectors& sectors) {
    const uint64_t first_data = descriptor_sectors(sectors.size());
    const uint64_t length = (first_data + sectors.size()) * kSector;
    if (sectors.size() > max_sectors() || length > length_) return BlockStatus::kNoSpace;
    std::vector<std::byte> bytes(length);
    std::memcpy(&bytes[0], "loge", 4);
    store_little<uint32_t>(&bytes[8], static_cast<uint32_t>(length));
    store_little<uint32_t>(&bytes[12], static_cast<uint32_t>(next_));  // the entry stands alone
    store_little<uint64_t>(&bytes[16], sequence_);
    store_little<uint32_t>(&bytes[24], static_cast<uint32_t>(sectors.size()));
    std::memcpy(&bytes[32], id_.data(), 16);
    const uint64_t end = align_up(file_.size(), kMegabyte);
    store_little<uint64_t>(&bytes[48], file_.size());
    store_little<uint64_t>(&bytes[56], end);
    uint64_t index = 0;
    for (const auto& [place, content] : sectors) {
        std::byte* descriptor = &bytes[kEntryHeader + index * kDescriptor];
        std::memcpy(descriptor, "desc", 4);
        std::memcpy(descriptor + 4, &content[4092], 4);
        std::memcpy(descriptor + 8, &content[0], 8);
        store_little<uint64_t>(descriptor + 16, place);
        store_little<uint64_t>(descriptor + 24, sequence_);
        std::byte* sector = &bytes[(first_data + index) * kSector];
        std::memcpy(sector, "data", 4);
        store_little<uint32_t>(sector + 4, static_cast<uint32_t>(sequence_ >> 32));
        std::memcpy(sector + 8, &content[8], kDataBytes);
        store_little<uint32_t>(sector + 4092, static_cast<uint32_t>(sequence_));
        ++index;
    }
    store_little<uint32_t>(&bytes[4], crc32c(bytes));
    for (uint64_t done = 0; done < length;) {
        const uint64_t part = std::min(length - done, length_ - next_);
        TRY_BLOCK(file_.write_bytes(offset_ + next_, std::span(bytes).subspan(done, part)));
        done += part;
        next_ = (next_ + part) % length_;
    }
    ++sequence_;
    return BlockStatus::kOk;
}

}  // namespace mynah
