#include "scsi/scsi_disk_commands.h"

#include <algorithm>

#include "spec/scsi/commands.h"
#include "spec/scsi/direct_access.h"

// Which commands a disk has: what it looks up, and what it tells of itself.
namespace mynah {

using namespace scsi;

std::span<const ScsiDisk::Command> ScsiDisk::commands() {
    constexpr uint8_t kNone = Command::kNoAction;
    using D = ScsiDisk;
    static const Command kCommands[] = {
        {kNone, false, &D::nothing, {kTestUnitReady}},
        {kNone, false, &D::request_sense, {kRequestSense, 0, 0, 0, 0xff}},
        {kNone, false, &D::transfer, {kRead6, 0x1f, 0xff, 0xff, 0xff}},
        {kNone, false, &D::transfer, {kWrite6, 0x1f, 0xff, 0xff, 0xff}},
        {kNone, false, &D::inquiry, {kInquiry, 0x01, 0xff, 0xff, 0xff}},
        {kNone, false, &D::begin_mode_select, {kModeSelect6, 0x11, 0, 0, 0xff}},
        {kNone, false, &D::mode_sense, {kModeSense6, 0x08, 0xff, 0xff, 0xff}},
        {kNone, false, &D::nothing, {kStartStopUnit, 0x01, 0, 0x0f, 0xf7}},
        {kNone, false, &D::nothing, {kSendDiagnostic, 0x04, 0, 0, 0}},
        {kNone, false, &D::nothing, {kPreventAllowMediumRemoval, 0, 0, 0, 0x03}},
        {kNone,
         false,
         &D::read_format_capacities,
         {kReadFormatCapacities, 0, 0, 0, 0, 0, 0, 0xff, 0xff}},
        {kNone, false, &D::read_capacity10, {kReadCapacity10}},
        {kNone, false, &D::transfer, {kRead10, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
        {kNone, false, &D::transfer, {kWrite10, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
        {kNone,
         false,
         &D::transfer,
         {kWriteAndVerify10, 0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
        {kNone, false, &D::verify, {kVerify10, 0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
        {kNone,
         false,
         &D::synchronize,
         {kSynchronizeCache10, 0x02, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
        {kNone,
         true,
         &D::begin_write_same,
         {kWriteSame10, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
        {kNone, true, &D::begin_unmap, {kUnmap, 0x01, 0, 0, 0, 0, 0, 0xff, 0xff}},
        {kNone, false, &D::begin_mode_select, {kModeSelect10, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff}},
        {kNone, false, &D::mode_sense, {kModeSense10, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff}},
        {kNone,
         false,
         &D::transfer,
         {kRead16, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {kNone,
         false,
         &D::transfer,
         {kWrite16, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {kNone,
         false,
         &D::transfer,
         {kWriteAndVerify16, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff}},
        {kNone,
         false,
         &D::verify,
         {kVerify16, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {kNone,
         false,
         &D::synchronize,
         {kSynchronizeCache16, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff}},
        {kNone,
         true,
         &D::begin_write_same,
         {kWriteSame16, 0x19, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff}},
        {disk::kActionReadCapacity16,
         false,
         &D::read_capacity16,
         {kServiceActionIn16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
        {kActionReportSupportedOperationCodes,
         false,
         &D::report_operation_codes,
         {kMaintenanceIn, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {kNone,
         false,
         &D::transfer,
         {kRead12, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {kNone,
         false,
         &D::transfer,
         {kWrite12, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {kNone,
         false,
         &D::transfer,
         {kWriteAndVerify12, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {kNone,
         false,
         &D::verify,
         {kVerify12, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    };
    return kCommands;
}

const ScsiDisk::Command* ScsiDisk::find(uint8_t opcode, uint8_t action) {
    const auto all = commands();
    const auto found = std::ranges::find_if(all, [&](const Command& each) {
        return each.usage[0] == opcode &&
               (each.action == Command::kNoAction || each.action == action);
    });
    return found == all.end() ? nullptr : &*found;
}

// [SPC-4 6.34]
Sense ScsiDisk::report_operation_codes(Cdb cdb, DataPhase& data) {
    constexpr uint8_t kAll = 0, kByCode = 1, kByCodeAndAction = 2, kEither = 3;
    constexpr uint8_t kHasAction = 1, kHasTimeouts = 2, kTimeoutBytes = 12;
    const uint8_t reporting = cdb[2] & 7, opcode = cdb[3];
    const uint16_t action = static_cast<uint16_t>(big_endian(cdb, 4, 2));
    const bool timeouts = (cdb[2] & 0x80) != 0;
    const auto add_timeouts = [&](ByteWriter& to) {  // none is said
        if (!timeouts) return;
        to.u16(kTimeoutBytes - 2);
        to.zeroes(kTimeoutBytes - 2);
    };
    ByteWriter answer;
    if (reporting == kAll) {
        answer.u32(0);
        for (const Command& each : commands()) {
            if (!has(each)) continue;
            const bool acts = each.action != Command::kNoAction;
            answer.u8(each.usage[0]);
            answer.u8(0);
            answer.u16(acts ? each.action : 0);
            answer.u8(0);
            answer.u8((acts ? kHasAction : 0) | (timeouts ? kHasTimeouts : 0));
            answer.u16(cdb_size(each.usage[0]));
            add_timeouts(answer);
        }
        answer.put32(0, answer.size() - 4);
        data.send(answer.bytes(), big_endian(cdb, 6, 4));
        return kSenseNone;
    }
    const bool acts = has_service_actions(opcode);
    if (reporting > kEither || (reporting == kByCode && acts) ||
        (reporting == kByCodeAndAction && !acts))
        return kSenseInvalidField;
    const bool sane = acts ? action < 0x20 : reporting == kByCode || action == 0;
    const Command* const found = sane ? find(opcode, static_cast<uint8_t>(action)) : nullptr;
    const bool supported = found != nullptr && has(*found);
    constexpr uint8_t kNotSupported = 1, kSupported = 3;
    answer.u8(0);
    answer.u8((supported ? kSupported : kNotSupported) | (supported && timeouts ? 0x80 : 0));
    answer.u16(supported ? cdb_size(opcode) : 0);
    if (supported) {
        for (unsigned i = 0; i < cdb_size(opcode); ++i) answer.u8(found->usage[i]);
        add_timeouts(answer);
    }
    data.send(answer.bytes(), big_endian(cdb, 6, 4));
    return kSenseNone;
}

}  // namespace mynah
