// What a disk says about itself: inquiry, vital product data, mode pages, capacity.

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "device/usb/scsi_disk.h"

namespace mynah {

using namespace scsi::disk;

namespace {

using Cdb = std::span<const uint8_t, 16>;

uint64_t get(Cdb cdb, unsigned at, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value = value << 8 | cdb[at + i];
    return value;
}
void put(std::vector<uint8_t>& to, size_t at, uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) {
        to[at + i] = static_cast<uint8_t>(value >> 8 * (size - 1 - i));
    }
}
// Left-aligned ASCII, padded with spaces [SPC-4 4.4.1].
void put_text(std::vector<uint8_t>& to, size_t at, const std::string& text, size_t size) {
    for (size_t i = 0; i < size; ++i) {
        const char c = i < text.size() ? text[i] : ' ';
        to[at + i] = c < 0x20 || c > 0x7e ? uint8_t{' '} : static_cast<uint8_t>(c);
    }
}

}  // namespace

ScsiDisk::Plan ScsiDisk::inquiry(Cdb cdb) {
    const uint64_t allocated = get(cdb, 3, 2);
    if ((cdb[1] & 1) != 0) {
        auto page = vital_product_data(cdb[2]);
        if (!page) return fail(kInvalidFieldInCdb);
        return answer(std::move(*page), allocated);
    }
    if (cdb[2] != 0) return fail(kInvalidFieldInCdb);
    std::vector<uint8_t> data(36);
    data[1] = removable_ ? 0x80 : 0;
    data[2] = 6;  // SPC-4
    data[3] = 2;  // format of this data
    data[4] = static_cast<uint8_t>(data.size() - 5);
    put_text(data, 8, identity_.vendor, 8);
    put_text(data, 16, identity_.product, 16);
    put_text(data, 32, "1.0", 4);
    return answer(std::move(data), allocated);
}

std::optional<std::vector<uint8_t>> ScsiDisk::vital_product_data(uint8_t page) const {
    std::vector<uint8_t> data{0, page, 0, 0};
    switch (page) {
        case kVpdSupported:
            data.insert(data.end(), {kVpdSupported, kVpdSerial, kVpdIdentification, kVpdBlockLimits,
                                     kVpdCharacteristics});
            break;
        case kVpdSerial: {
            const size_t size = std::clamp<size_t>(identity_.serial.size(), 1, 64);
            data.resize(4 + size);
            put_text(data, 4, identity_.serial, size);
            break;
        }
        case kVpdIdentification: {
            // One designator: vendor, product and serial in ASCII [SPC-4 7.8.6.4].
            const size_t serial = std::min<size_t>(identity_.serial.size(), 64);
            data.resize(4 + 4 + 24 + serial);
            data[4] = 2;
            data[5] = 1;
            data[7] = static_cast<uint8_t>(24 + serial);
            put_text(data, 8, identity_.vendor, 8);
            put_text(data, 16, identity_.product, 16);
            put_text(data, 32, identity_.serial, serial);
            break;
        }
        case kVpdBlockLimits:
            data.resize(64);  // nothing is limited
            break;
        case kVpdCharacteristics:
            data.resize(64);
            put(data, 4, 1, 2);  // a medium that does not rotate
            break;
        default:
            return std::nullopt;
    }
    put(data, 2, data.size() - 4, 2);
    return data;
}

bool ScsiDisk::append_mode_pages(std::vector<uint8_t>& to, uint8_t page, bool changeable) const {
    bool found = false;
    const auto add = [&](uint8_t code, std::vector<uint8_t> body) {
        if (page != code && page != kPageAll) return;
        found = true;
        if (changeable) std::fill(body.begin(), body.end(), uint8_t{0});
        to.push_back(code);
        to.push_back(static_cast<uint8_t>(body.size()));
        to.insert(to.end(), body.begin(), body.end());
    };
    add(kPageErrorRecovery, std::vector<uint8_t>(10));
    // Writes may wait in a cache until the host flushes (WCE).
    std::vector<uint8_t> caching(18);
    caching[0] = geometry_.read_only ? 0 : 0x04;
    add(kPageCaching, std::move(caching));
    add(kPageControl, std::vector<uint8_t>(10));
    return found;
}

ScsiDisk::Plan ScsiDisk::mode_sense(Cdb cdb) {
    const bool ten = cdb[0] == kModeSense10;
    const uint8_t control = cdb[2] >> 6;
    if (control == 3) return fail(kSavingNotSupported);
    // Header: with the write-protect bit, and support of forced access [SBC-3 6.4.1].
    const auto specific = static_cast<uint8_t>((geometry_.read_only ? 0x80 : 0) | 0x10);
    std::vector<uint8_t> data(ten ? 8 : 4);
    data[ten ? 3 : 2] = specific;
    if ((cdb[1] & 0x08) == 0) {  // not told to leave the block descriptor out
        const size_t at = data.size();
        data.resize(at + 8);
        put(data, at, std::min<uint64_t>(blocks_, 0xffffffff), 4);
        put(data, at + 5, geometry_.logical_block_size, 3);
        data[ten ? 7 : 3] = 8;
    }
    if (!append_mode_pages(data, cdb[2] & 0x3f, control == 1)) return fail(kInvalidFieldInCdb);
    if (ten)
        put(data, 0, data.size() - 2, 2);
    else
        put(data, 0, data.size() - 1, 1);
    return answer(std::move(data), ten ? get(cdb, 7, 2) : cdb[4]);
}

ScsiDisk::Plan ScsiDisk::read_capacity10() {
    std::vector<uint8_t> data(8);
    put(data, 0, std::min<uint64_t>(blocks_ - 1, 0xffffffff), 4);
    put(data, 4, geometry_.logical_block_size, 4);
    return answer(std::move(data), 8);
}

ScsiDisk::Plan ScsiDisk::read_capacity16(Cdb cdb) {
    if ((cdb[1] & 0x1f) != kActionReadCapacity16) return fail(kInvalidFieldInCdb);
    std::vector<uint8_t> data(32);
    put(data, 0, blocks_ - 1, 8);
    put(data, 8, geometry_.logical_block_size, 4);
    const uint32_t per_physical = std::max<uint32_t>(
        geometry_.physical_block_size / std::max<uint32_t>(geometry_.logical_block_size, 1), 1);
    data[13] = static_cast<uint8_t>(std::min<unsigned>(std::bit_width(per_physical) - 1u, 15));
    return answer(std::move(data), get(cdb, 10, 4));
}

// One descriptor: formatted medium of this capacity [MMC-6 6.24.3.3].
std::vector<uint8_t> ScsiDisk::format_capacities() const {
    std::vector<uint8_t> data(12);
    data[3] = 8;
    put(data, 4, std::min<uint64_t>(blocks_, 0xffffffff), 4);
    data[8] = 2;
    put(data, 9, geometry_.logical_block_size, 3);
    return data;
}

}  // namespace mynah
