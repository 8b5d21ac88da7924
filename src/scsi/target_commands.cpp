#include "scsi/target_commands.h"

#include <algorithm>
#include <array>
#include <vector>

#include "scsi/byte_writer.h"
#include "spec/scsi/commands.h"

namespace mynah::scsi {
namespace {

std::array<uint8_t, 16> whole(std::span<const uint8_t> cdb) {
    std::array<uint8_t, 16> bytes{};
    std::copy_n(cdb.begin(), std::min(cdb.size(), bytes.size()), bytes.begin());
    return bytes;
}

}  // namespace

Sense report_luns(std::span<const uint8_t> cdb, std::span<const uint64_t> luns, DataPhase& data) {
    constexpr uint8_t kUnits = 0, kWellKnown = 1, kAll = 2;
    const auto bytes = whole(cdb);
    data.clear();
    const uint8_t select = bytes[2];
    if (select != kUnits && select != kWellKnown && select != kAll) return kSenseInvalidField;
    std::vector<uint64_t> list;
    if (select != kWellKnown) list.assign(luns.begin(), luns.end());
    std::sort(list.begin(), list.end());
    ByteWriter answer;
    answer.u32(list.size() * 8);
    answer.zeroes(4);
    for (const uint64_t lun : list) answer.u64(lun);
    data.send(answer.bytes(), big_endian(bytes, 6, 4));
    return kSenseNone;
}

Sense execute_for_absent_unit(std::span<const uint8_t> cdb, bool could_be, DataPhase& data) {
    const auto bytes = whole(cdb);
    data.clear();
    if (bytes[0] == kRequestSense) {
        data.send(fixed_sense(kSenseLunNotSupported), bytes[4]);
        return kSenseNone;
    }
    if (bytes[0] != kInquiry) return kSenseLunNotSupported;
    if ((bytes[1] & 1) != 0 || bytes[2] != 0) return kSenseInvalidField;
    ByteWriter answer;
    answer.u8((could_be ? kQualifierNotConnected : kQualifierNotCapable) | kTypeUnknown);
    answer.u8(0);
    answer.u8(0x06);  // SPC-4
    answer.u8(0x02);  // response data format
    answer.u8(31);    // bytes that follow
    answer.zeroes(31);
    data.send(answer.bytes(), big_endian(bytes, 3, 2));
    return kSenseNone;
}

}  // namespace mynah::scsi
