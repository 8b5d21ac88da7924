// Mode parameters of a disk [SPC-4 7.5; SBC-3 6.4].

#include <algorithm>

#include "scsi/scsi_disk.h"
#include "spec/scsi/commands.h"
#include "spec/scsi/direct_access.h"

namespace mynah {

using namespace scsi;
using namespace scsi::disk;

namespace {

constexpr uint8_t kWriteCacheEnable = 0x04;  // in byte 2 of the caching page

}  // namespace

// Whole pages; changeable: ones where MODE SELECT may change something.
std::vector<std::vector<uint8_t>> ScsiDisk::mode_pages(bool changeable) const {
    std::vector<std::vector<uint8_t>> pages;
    const auto add = [&](uint8_t code, uint8_t size) -> std::vector<uint8_t>& {
        std::vector<uint8_t>& page = pages.emplace_back(2u + size);
        page[0] = code;
        page[1] = size;
        return page;
    };
    add(kPageErrorRecovery, 10);
    std::vector<uint8_t>& caching = add(kPageCaching, 18);
    if (!geometry_.read_only && (changeable || write_cache_)) caching[2] = kWriteCacheEnable;
    add(kPageControl, 10);
    return pages;
}

Sense ScsiDisk::mode_sense(Cdb cdb, DataPhase& data) {
    constexpr uint8_t kChangeable = 1, kDefault = 2, kSaved = 3;
    const bool ten = cdb[0] == kModeSense10;
    const uint8_t control = cdb[2] >> 6, wanted = cdb[2] & 0x3f, subpage = cdb[3];
    if (control == kSaved) return kSenseSavingNotSupported;
    if (subpage != 0 && subpage != 0xff) return kSenseInvalidField;
    ByteWriter pages;
    bool found = false;
    for (auto& page : mode_pages(control == kChangeable)) {
        if (page[0] != wanted && wanted != kPageAll) continue;
        found = true;
        if (control == kDefault && page[0] == kPageCaching)
            page[2] = options_.write_cache && !geometry_.read_only ? kWriteCacheEnable : 0;
        for (const uint8_t byte : page) pages.u8(byte);
    }
    if (!found) return kSenseInvalidField;
    const bool descriptor = (cdb[1] & 0x08) == 0;
    const uint8_t descriptor_bytes = descriptor ? 8 : 0;
    // With the write-protect bit, and support of forced access [SBC-3 6.4.1].
    const auto specific = static_cast<uint8_t>((geometry_.read_only ? 0x80 : 0) | 0x10);
    ByteWriter answer;
    if (ten) {
        answer.u16(6u + descriptor_bytes + pages.size());
        answer.u8(0);
        answer.u8(specific);
        answer.u16(0);
        answer.u16(descriptor_bytes);
    } else {
        answer.u8(3u + descriptor_bytes + pages.size());
        answer.u8(0);
        answer.u8(specific);
        answer.u8(descriptor_bytes);
    }
    if (descriptor) {
        answer.u32(std::min<uint64_t>(blocks_, 0xffffffff));
        answer.u8(0);
        answer.u24(geometry_.logical_block_size);
    }
    for (const uint8_t byte : pages.bytes()) answer.u8(byte);
    data.send(answer.bytes(), ten ? big_endian(cdb, 7, 2) : cdb[4]);
    return kSenseNone;
}

Sense ScsiDisk::begin_mode_select(Cdb cdb, DataPhase& data) {
    if ((cdb[1] & 1) != 0) return kSenseInvalidField;  // nothing can be saved
    const uint64_t size = cdb[0] == kModeSelect10 ? big_endian(cdb, 7, 2) : cdb[4];
    if (size != 0) data.receive(static_cast<uint32_t>(size));
    return kSenseNone;
}

// What cannot be changed must be as it is [SPC-4 6.11].
Sense ScsiDisk::mode_select(Cdb cdb, Bytes parameters) {
    const bool ten = cdb[0] == kModeSelect10;
    const size_t header = ten ? 8 : 4;
    if (parameters.size() < header) return kSenseParameterListLength;
    const uint64_t descriptors = ten ? big_endian(parameters, 6, 2) : parameters[3];
    if (descriptors != 0 && descriptors != 8) return kSenseInvalidParameter;
    if (parameters.size() < header + descriptors) return kSenseParameterListLength;
    if (descriptors != 0 && big_endian(parameters, header + 5, 3) != geometry_.logical_block_size)
        return kSenseInvalidParameter;
    Bytes rest = parameters.subspan(header + descriptors);
    const auto now = mode_pages(false), changeable = mode_pages(true);
    bool cache = write_cache_;
    while (!rest.empty()) {
        // Bit 7 belongs to saving, and says nothing here.
        const auto code = static_cast<uint8_t>(rest[0] & 0x7f);
        const auto page =
            std::ranges::find_if(now, [&](const auto& each) { return each[0] == code; });
        if (page == now.end()) return kSenseInvalidParameter;
        if (rest.size() < page->size()) return kSenseParameterListLength;
        if (rest[1] != (*page)[1]) return kSenseInvalidParameter;
        const auto& mask = changeable[static_cast<size_t>(page - now.begin())];
        for (size_t i = 2; i < page->size(); ++i) {
            const auto differs = static_cast<uint8_t>(rest[i] ^ (*page)[i]);
            if ((differs & ~mask[i]) != 0) return kSenseInvalidParameter;
        }
        if (code == kPageCaching && !geometry_.read_only)
            cache = (rest[2] & kWriteCacheEnable) != 0;
        rest = rest.subspan(page->size());
    }
    write_cache_ = cache;
    return kSenseNone;
}

}  // namespace mynah
