#include <algorithm>
#include <utility>

#include "scsi/byte_writer.h"
#include "scsi/cd_drive.h"
#include "spec/scsi/commands.h"

namespace mynah {

using namespace scsi;

namespace {

// Profiles and features [MMC-6 5.2, 5.3].
constexpr uint16_t kProfileCdRom = 0x0008, kProfileDvdRom = 0x0010;
constexpr uint16_t kFeatureProfileList = 0x0000, kFeatureCore = 0x0001,
                   kFeatureRemovableMedium = 0x0003, kFeatureRandomReadable = 0x0010,
                   kFeatureCdRead = 0x001e, kFeatureDvdRead = 0x001f,
                   kFeaturePowerManagement = 0x0100, kFeatureTimeout = 0x0105;

constexpr uint16_t kSpeedKilobytes = 11080;  // of DVD at 8 times

void append(ByteWriter& to, const ByteWriter& from) {
    for (const uint8_t byte : from.bytes()) to.u8(byte);
}

// Collects feature descriptors as GET CONFIGURATION asked for them [MMC-6 6.5].
class FeatureList {
  public:
    FeatureList(uint8_t requested_type, uint16_t first) : type_(requested_type), first_(first) {}

    void add(uint16_t code, uint8_t version, bool persistent, bool current,
             const ByteWriter& body) {
        constexpr uint8_t kAll = 0, kCurrent = 1, kOne = 2;
        if (type_ == kOne ? code != first_ : code < first_) return;
        if (type_ == kCurrent && !current) return;
        if (type_ > kOne && type_ != kAll) return;
        bytes_.u16(code);
        bytes_.u8(version << 2 | (persistent ? 2 : 0) | (current ? 1 : 0));
        bytes_.u8(body.size());
        append(bytes_, body);
    }
    const ByteWriter& bytes() const { return bytes_; }

  private:
    const uint8_t type_;
    const uint16_t first_;
    ByteWriter bytes_;
};

// Mode pages; changeable values are all zero: nothing can be set [MMC-6 7].
ByteWriter error_recovery_page() {
    ByteWriter page;
    page.u8(0x01);
    page.u8(10);
    page.zeroes(10);
    return page;
}

ByteWriter capabilities_page(bool locked) {
    ByteWriter page;
    page.u8(0x2a);
    page.u8(20);
    page.u8(0x3b);                           // reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R
    page.u8(0x00);                           // writes nothing
    page.u8(0x70);                           // mode 2 forms, several sessions
    page.u8(0x00);                           // no audio
    page.u8(0x29 | (locked ? 0x02 : 0x00));  // locks; a tray; ejects
    page.u8(0x00);
    page.u16(kSpeedKilobytes);
    page.u16(2);    // volume levels
    page.u16(512);  // buffer, KiB
    page.u16(kSpeedKilobytes);
    page.zeroes(6);
    return page;
}

}  // namespace

Sense CdDrive::inquiry(Cdb cdb, DataPhase& data) const {
    const bool vital = (cdb[1] & 1) != 0;
    const uint64_t limit = big_endian(cdb, 3, 2);
    ByteWriter answer;
    answer.u8(kTypeCdDvd);
    if (!vital) {
        if (cdb[2] != 0) return kSenseInvalidField;
        answer.u8(0x80);  // removable
        answer.u8(0x05);  // SPC-3
        answer.u8(0x02);  // response data format
        answer.u8(31);    // bytes that follow
        answer.zeroes(3);
        answer.text(options_.vendor, 8);
        answer.text(options_.product, 16);
        answer.text(options_.revision, 4);
        data.send(answer.bytes(), limit);
        return kSenseNone;
    }
    const std::string serial = options_.serial.substr(0, 32);
    answer.u8(cdb[2]);
    answer.u16(0);  // length, filled in below
    switch (cdb[2]) {
        case 0x00:  // supported pages
            answer.u8(0x00);
            answer.u8(0x80);
            answer.u8(0x83);
            break;
        case 0x80:  // unit serial number
            answer.text(serial, serial.size());
            break;
        case 0x83:  // device identification: vendor's, in ASCII [SPC-4 7.8.6]
            answer.u8(0x02);
            answer.u8(0x01);
            answer.u8(0);
            answer.u8(8 + serial.size());
            answer.text(options_.vendor, 8);
            answer.text(serial, serial.size());
            break;
        default:
            return kSenseInvalidField;
    }
    answer.put16(2, answer.size() - 4);
    data.send(answer.bytes(), limit);
    return kSenseNone;
}

Sense CdDrive::mode_sense(Cdb cdb, DataPhase& data) const {
    const bool ten = cdb[0] == kModeSense10;
    const uint8_t control = cdb[2] >> 6, page = cdb[2] & 0x3f;
    constexpr uint8_t kChangeable = 1, kSaved = 3, kAllPages = 0x3f;
    if (control == kSaved) return kSenseSavingNotSupported;
    ByteWriter pages;
    bool found = false;
    for (ByteWriter one : {error_recovery_page(), capabilities_page(locked_)}) {
        if (page != kAllPages && page != (one[0] & 0x3f)) continue;
        found = true;
        if (control == kChangeable) {
            for (size_t i = 2; i < one.size(); ++i) one[i] = 0;
        }
        append(pages, one);
    }
    if (!found) return kSenseInvalidField;
    // Medium type 01h: a data disc; 70h: closed, no disc; 71h: open [SFF-8020i table 32].
    const uint8_t medium = ready() ? 0x01 : tray_open_ ? 0x71 : 0x70;
    ByteWriter answer;
    if (ten) {
        answer.u16(6 + pages.size());
        answer.u8(medium);
        answer.zeroes(5);
    } else {
        answer.u8(3 + pages.size());
        answer.u8(medium);
        answer.zeroes(2);
    }
    append(answer, pages);
    data.send(answer.bytes(), ten ? big_endian(cdb, 7, 2) : cdb[4]);
    return kSenseNone;
}

Sense CdDrive::get_configuration(Cdb cdb, DataPhase& data) const {
    const uint8_t type = cdb[1] & 3;
    if (type == 3) return kSenseInvalidField;
    const bool dvd = ready() && is_dvd(), cd = ready() && !is_dvd();
    FeatureList list(type, static_cast<uint16_t>(big_endian(cdb, 2, 2)));
    ByteWriter profiles, core, removable, random, cd_read, none;
    profiles.u16(kProfileDvdRom);
    profiles.u16(dvd ? 0x0100 : 0);
    profiles.u16(kProfileCdRom);
    profiles.u16(cd ? 0x0100 : 0);
    list.add(kFeatureProfileList, 0, true, true, profiles);
    core.u32(2);       // ATAPI
    core.u32(0x0100);  // events of the operational class are not sent
    list.add(kFeatureCore, 2, true, true, core);
    removable.u32(0x29000000);  // tray; ejects; locks
    list.add(kFeatureRemovableMedium, 0, true, true, removable);
    random.u32(kBlockSize);
    random.u16(16);  // blocking
    random.u16(0);
    list.add(kFeatureRandomReadable, 0, false, ready(), random);
    cd_read.u32(0);
    list.add(kFeatureCdRead, 2, false, cd, cd_read);
    list.add(kFeatureDvdRead, 0, false, dvd, none);
    list.add(kFeaturePowerManagement, 0, true, true, none);
    list.add(kFeatureTimeout, 0, true, true, none);

    ByteWriter answer;
    answer.u32(4 + list.bytes().size());
    answer.u16(0);
    answer.u16(dvd ? kProfileDvdRom : cd ? kProfileCdRom : 0);
    append(answer, list.bytes());
    data.send(answer.bytes(), big_endian(cdb, 7, 2));
    return kSenseNone;
}

// [MMC-6 6.6]
Sense CdDrive::get_event_status(Cdb cdb, DataPhase& data) {
    constexpr uint8_t kMediaClass = 4, kMediaBit = 1 << kMediaClass, kNoEvent = 0x80;
    const bool polled = (cdb[1] & 1) != 0;
    if (!polled) return kSenseInvalidField;  // asynchronous notification
    ByteWriter answer;
    const bool media = (cdb[4] & kMediaBit) != 0;
    answer.u16(media ? 6 : 2);
    answer.u8(media ? kMediaClass : kNoEvent);
    answer.u8(kMediaBit);
    if (media) {
        // The event is over once it can have been told.
        const bool told = big_endian(cdb, 7, 2) > 4;
        const MediaEvent event = told ? std::exchange(event_, MediaEvent::kNone) : event_;
        answer.u8(static_cast<uint8_t>(event));
        answer.u8((ready() ? 2 : 0) | (tray_open_ ? 1 : 0));
        answer.u16(0);
    }
    data.send(answer.bytes(), big_endian(cdb, 7, 2));
    return kSenseNone;
}

Sense CdDrive::mechanism_status(Cdb cdb, DataPhase& data) const {
    ByteWriter answer;
    answer.u8(0);
    answer.u8(tray_open_ ? 0x10 : 0);
    answer.u24(0);
    answer.u8(1);  // a slot
    answer.u16(0);
    data.send(answer.bytes(), big_endian(cdb, 8, 2));
    return kSenseNone;
}

}  // namespace mynah
