#include <algorithm>
#include <bit>
#include <string_view>

#include "base/bits.h"
#include "device/storage/nvme.h"
#include "device/storage/nvme_identity.h"

// What the controller says about itself [NVMe 5.14, 5.15].
namespace mynah {

using namespace nvme;

namespace {

// A data structure of little-endian fields at byte offsets.
class Page {
  public:
    explicit Page(size_t size = kPage) : bytes_(size) {}
    void u8(size_t at, uint64_t value) { bytes_[at] = static_cast<uint8_t>(value); }
    void u16(size_t at, uint64_t value) { put(at, value, 2); }
    void u32(size_t at, uint64_t value) { put(at, value, 4); }
    void u64(size_t at, uint64_t value) { put(at, value, 8); }
    void text(size_t at, size_t size, std::string_view text, char padding = ' ') {
        for (size_t i = 0; i < size; ++i) {
            const char c = i < text.size() ? text[i] : padding;
            u8(at + i, static_cast<uint8_t>(i >= text.size() || (c >= ' ' && c <= '~') ? c : '?'));
        }
    }
    std::vector<uint8_t> take() { return std::move(bytes_); }

  private:
    void put(size_t at, uint64_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) u8(at + i, value >> (8 * i));
    }
    std::vector<uint8_t> bytes_;
};

constexpr uint16_t kWarningKelvin = 343, kCriticalKelvin = 373, kKelvin = 303;
constexpr uint8_t kErrorEntries = 4;
constexpr size_t kErrorEntrySize = 64, kHealthSize = 512, kFirmwareSize = 512;

void big_endian64(Page& page, size_t at, uint64_t value) {
    for (unsigned i = 0; i < 8; ++i) page.u8(at + i, value >> (56 - 8 * i));
}

}  // namespace

Nvme::Answer Nvme::identify(const Submission& command) {
    switch (static_cast<uint8_t>(command.cdw10)) {
        case identify::kController:
            return send(command, controller_page(), kPage);
        case identify::kNamespace:
            if (command.nsid != 1) return {.status = status::kInvalidNamespace};
            return send(command, namespace_page(), kPage);
        case identify::kActiveNamespaces: {
            // Those above the one that was given.
            if (command.nsid >= kEveryNamespace - 1) return {.status = status::kInvalidNamespace};
            Page page;
            if (command.nsid == 0) page.u32(0, 1);
            return send(command, page.take(), kPage);
        }
        case identify::kNamespaceDescriptors:
            if (command.nsid != 1) return {.status = status::kInvalidNamespace};
            return send(command, descriptors_page(), kPage);
        default:
            return {.status = status::kInvalidField};
    }
}

// [NVMe figure 247]
std::vector<uint8_t> Nvme::controller_page() const {
    Page page;
    page.u16(0, kNvmeVendor);
    page.u16(2, kNvmeVendor);
    page.text(4, 20, options_.serial);
    page.text(24, 40, options_.model);
    page.text(64, 8, options_.firmware);
    page.u8(77, kMdts);
    page.u32(80, kVersion14);
    page.u8(111, 1);  // an I/O controller
    page.u8(258, 3);  // aborts at a time, less one
    page.u8(259, kMaxEventRequests - 1);
    page.u8(260, 0x03);  // one firmware slot, read-only
    page.u8(261, 0x06);  // effects log; log pages from an offset on
    page.u8(262, kErrorEntries - 1);
    page.u16(266, kWarningKelvin);
    page.u16(268, kCriticalKelvin);
    page.u8(512, 0x66);  // submission entries of 64 bytes
    page.u8(513, 0x44);  // completion entries of 16 bytes
    page.u16(514, kMaxTasks);
    page.u32(516, 1);  // namespaces
    page.u16(520, 0x04 | (geometry_.can_write_zeroes ? 0x08 : 0));
    page.u8(525, 0x07);  // volatile cache; flush of every namespace
    // The name that controllers have which know no other [NVMe 7.9].
    std::string name = "nqn.2014.08.org.nvmexpress:1b361b36";
    std::string serial = options_.serial.substr(0, 20), model = options_.model.substr(0, 40);
    serial.resize(20, ' ');
    model.resize(40, ' ');
    page.text(768, 256, name + serial + model, '\0');
    page.u16(2048, 2500);  // power state 0: 25 W at most
    return page.take();
}

// [NVMe figure 245]
std::vector<uint8_t> Nvme::namespace_page() const {
    Page page;
    page.u64(0, blocks());
    page.u64(8, blocks());
    page.u64(16, blocks());
    const uint32_t block = geometry_.logical_block_size;
    const uint32_t per_physical = std::max<uint32_t>(geometry_.physical_block_size / block, 1);
    page.u8(24, 0x10);                                 // the preferences below are given
    page.u8(33, geometry_.can_discard ? 0x08 : 0x00);  // write zeroes may deallocate
    page.u16(64, per_physical - 1);                    // preferred write granularity,
    page.u16(66, per_physical - 1);                    // and alignment
    if (geometry_.can_discard) {
        const uint64_t unit = std::clamp<uint64_t>(geometry_.discard_alignment / block, 1, 0x10000);
        page.u16(68, unit - 1);  // of deallocation
        page.u16(70, unit - 1);
    }
    page.u8(99, geometry_.read_only ? 1 : 0);
    if (options_.eui64 != 0) big_endian64(page, 120, options_.eui64);
    page.u8(130, static_cast<uint64_t>(std::countr_zero(block)));  // format 0: block size
    return page.take();
}

// [NVMe figure 249]: an EUI-64, or else an identifier made of what we know.
std::vector<uint8_t> Nvme::descriptors_page() const {
    constexpr uint8_t kEui64 = 1, kUuid = 3;
    Page page;
    if (options_.eui64 != 0) {
        page.u8(0, kEui64);
        page.u8(1, 8);
        big_endian64(page, 4, options_.eui64);
        return page.take();
    }
    // FNV-1a over the serial number: the same for the same disk, another for another.
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : options_.serial) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    page.u8(0, kUuid);
    page.u8(1, 16);
    big_endian64(page, 4, 0x6d796e6168008000 | (hash >> 52));  // version 8 [RFC 9562]
    big_endian64(page, 12, 0x8000000000000000 | (hash & low_mask(62)));
    return page.take();
}

// [NVMe 5.14]
Nvme::Answer Nvme::get_log_page(const Submission& command) {
    const uint8_t id = static_cast<uint8_t>(command.cdw10);
    const uint64_t size = ((command.cdw10 >> 16 | uint64_t{command.cdw11 & 0xffff} << 16) + 1) * 4;
    const uint64_t offset = command.cdw12 | uint64_t{command.cdw13} << 32;
    const bool keep_event = (command.cdw10 >> 15 & 1) != 0;
    std::vector<uint8_t> log;
    switch (id) {
        case log_page::kErrors:
            log.resize(kErrorEntries * kErrorEntrySize);
            if (!keep_event) event_mask_ &= ~1u;
            break;
        case log_page::kHealth:
            log = health_page();
            break;
        case log_page::kFirmware: {
            Page page(kFirmwareSize);
            page.u8(0, 1);  // slot 1 is active
            page.text(8, 8, options_.firmware);
            log = page.take();
            break;
        }
        case log_page::kEffects:
            log = effects_page();
            break;
        default:
            return {.status = status::kInvalidLogPage};
    }
    if (offset % 4 != 0 || offset > log.size()) return {.status = status::kInvalidField};
    return send(command, std::span(log).subspan(offset), size);
}

std::vector<uint8_t> Nvme::health_page() const {
    constexpr uint64_t kUnit = 1000;  // data are counted in thousands of 512 bytes
    Page page(kHealthSize);
    page.u16(1, kKelvin);
    page.u8(3, 100);  // spare, %
    page.u8(4, 10);   // its threshold
    page.u64(32, (sectors_read_ + kUnit - 1) / kUnit);
    page.u64(48, (sectors_written_ + kUnit - 1) / kUnit);
    page.u64(64, reads_);
    page.u64(80, writes_);
    page.u64(112, 1);  // power cycles
    return page.take();
}

// [NVMe 5.14.1.5]
std::vector<uint8_t> Nvme::effects_page() const {
    constexpr uint32_t kSupported = 1, kChangesContent = 2;
    Page page;
    for (const uint8_t code :
         {admin::kDeleteSq, admin::kCreateSq, admin::kGetLogPage, admin::kDeleteCq,
          admin::kCreateCq, admin::kIdentify, admin::kAbort, admin::kSetFeatures,
          admin::kGetFeatures, admin::kAsyncEventRequest}) {
        page.u32(code * size_t{4}, kSupported);
    }
    constexpr size_t kIoCommands = 1024;
    page.u32(kIoCommands + io::kFlush * size_t{4}, kSupported);
    page.u32(kIoCommands + io::kRead * size_t{4}, kSupported);
    page.u32(kIoCommands + io::kDatasetManagement * size_t{4}, kSupported | kChangesContent);
    page.u32(kIoCommands + io::kWrite * size_t{4}, kSupported | kChangesContent);
    if (geometry_.can_write_zeroes) {
        page.u32(kIoCommands + io::kWriteZeroes * size_t{4}, kSupported | kChangesContent);
    }
    return page.take();
}

}  // namespace mynah
