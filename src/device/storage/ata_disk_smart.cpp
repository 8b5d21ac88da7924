#include <array>

#include "device/storage/ata_disk.h"
#include "spec/ata/commands.h"

namespace mynah {

using namespace ata;

namespace {

constexpr uint32_t kPageSize512 = 512;
using Page = std::array<uint8_t, kPageSize512>;

void sign(Page& page) {
    uint8_t sum = 0;
    for (unsigned i = 0; i < kPageSize512 - 1; ++i) sum = static_cast<uint8_t>(sum + page[i]);
    page[kPageSize512 - 1] = static_cast<uint8_t>(-sum);
}

// Attributes as drives report them; a disk that is a file has none that could get worse.
struct Attribute {
    uint8_t id;
    uint16_t flags;  // bit 0: below its threshold means failure; bit 1: collected online
    uint8_t value, threshold;
    uint64_t raw;
};
constexpr Attribute kAttributes[] = {
    {5, 0x0033, 100, 10, 0},   // reallocated sectors
    {9, 0x0032, 100, 0, 0},    // hours of operation
    {12, 0x0032, 100, 0, 1},   // power cycles
    {194, 0x0022, 70, 0, 30},  // temperature, degrees Celsius
    {197, 0x0032, 100, 0, 0},  // pending sectors
};

Page data_page() {
    Page page{};
    page[0] = 0x10;  // revision
    size_t at = 2;
    for (const Attribute& attribute : kAttributes) {
        page[at] = attribute.id;
        page[at + 1] = static_cast<uint8_t>(attribute.flags);
        page[at + 2] = static_cast<uint8_t>(attribute.flags >> 8);
        page[at + 3] = page[at + 4] = attribute.value;
        for (unsigned i = 0; i < 6; ++i) {
            page[at + 5 + i] = static_cast<uint8_t>(attribute.raw >> (8 * i));
        }
        at += 12;
    }
    page[362] = 0x02;  // an off-line collection was completed
    page[367] = 0x11;  // execute off-line immediate, self-tests [ACS-3 table 134]
    page[368] = 0x03;  // saves attributes
    page[370] = 0x01;  // has error logs
    page[372] = 1;     // minutes that a short self-test takes
    page[373] = 1;     // and an extended one
    sign(page);
    return page;
}

Page thresholds_page() {
    Page page{};
    page[0] = 0x10;
    size_t at = 2;
    for (const Attribute& attribute : kAttributes) {
        page[at] = attribute.id;
        page[at + 1] = attribute.threshold;
        at += 12;
    }
    sign(page);
    return page;
}

}  // namespace

// [ATA8-ACS 7.53]
void AtaDisk::smart(AtaCommand& command) {
    const AtaTaskFile& in = command.taskfile;
    if ((in.lba >> 8 & 0xffff) != smart::kKey) return fail(command, error::kAborted);
    const uint8_t subcommand = static_cast<uint8_t>(in.features);
    if (!smart_enabled_ && subcommand != smart::kEnable) return fail(command, error::kAborted);
    switch (subcommand) {
        case smart::kEnable:
            smart_enabled_ = true;
            return;
        case smart::kDisable:
            smart_enabled_ = false;
            return;
        case smart::kAutosave:
        case smart::kExecuteOffline:  // done at once: nothing can be wrong
            return;
        case smart::kReturnStatus:
            // The key unchanged: no threshold is exceeded.
            command.outcome.lba = uint64_t{smart::kKey} << 8;
            return;
        case smart::kReadData:
            command.data.send(data_page());
            break;
        case smart::kReadThresholds:
            command.data.send(thresholds_page());
            break;
        case smart::kReadLog:
            smart_read_log(command);
            break;
        default:
            return fail(command, error::kAborted);
    }
    command.block_bytes = kPageSize512;
}

void AtaDisk::smart_read_log(AtaCommand& command) const {
    const AtaTaskFile& in = command.taskfile;
    if ((in.count & 0xff) != 1) return fail(command, error::kAborted);
    Page page{};
    switch (static_cast<uint8_t>(in.lba)) {
        case log_page::kDirectory:
            page[0] = 1;  // version: the lengths below are valid
            page[2 * log_page::kSummaryError] = 1;
            page[2 * log_page::kSelfTest] = 1;
            break;
        case log_page::kSummaryError:
            page[0] = 1;  // version; no error so far
            sign(page);
            break;
        case log_page::kSelfTest:
            page[0] = 1;  // revision; no test so far
            sign(page);
            break;
        default:
            return fail(command, error::kAborted);
    }
    command.data.send(page);
}

}  // namespace mynah
