#include "scsi/byte_writer.h"
#include "scsi/cd_drive.h"

namespace mynah {

using namespace scsi;

namespace {

// A data track, not to be copied; the subchannel tells the current position
// [MMC-6 table 488].
constexpr uint8_t kDataTrack = 0x14;
constexpr uint8_t kLeadOut = 0xaa;

// An address as minutes, seconds and frames of 1/75 s, after the 2 seconds of the lead-in
// [MMC-6 4.2.3.3], or as a number.
void address(ByteWriter& to, uint32_t lba, bool msf) {
    if (!msf) return to.u32(lba);
    const uint32_t frames = lba + 150;
    to.u8(0);
    to.u8(frames / 75 / 60);
    to.u8(frames / 75 % 60);
    to.u8(frames % 75);
}

void track(ByteWriter& to, uint8_t number, uint32_t lba, bool msf) {
    to.u8(0);
    to.u8(kDataTrack);
    to.u8(number);
    to.u8(0);
    address(to, lba, msf);
}

// An entry of the raw table [MMC-6 table 501].
void point(ByteWriter& to, uint8_t number, uint8_t minute, uint8_t second, uint8_t frame) {
    to.u8(1);  // session
    to.u8(kDataTrack);
    to.u8(0);
    to.u8(number);
    to.u32(0);
    to.u8(minute);
    to.u8(second);
    to.u8(frame);
}

}  // namespace

// [MMC-6 6.25]
Sense CdDrive::read_toc(Cdb cdb, DataPhase& data) const {
    const bool msf = (cdb[1] & 2) != 0;
    // Old drivers put the format where the control byte is now.
    const uint8_t format = (cdb[2] & 0x0f) != 0 ? cdb[2] & 0x0f : cdb[9] >> 6;
    const uint8_t start = cdb[6];
    ByteWriter answer;
    answer.u16(0);
    answer.u8(1);  // first and
    answer.u8(1);  // last track or session
    switch (format) {
        case 0:
            if (start > 1 && start != kLeadOut) return kSenseInvalidField;
            if (start <= 1) track(answer, 1, 0, msf);
            track(answer, kLeadOut, blocks(), msf);
            break;
        case 1:
            track(answer, 1, 0, msf);
            break;
        case 2: {
            ByteWriter end;
            address(end, blocks(), true);
            point(answer, 0xa0, 1, 0, 0);
            point(answer, 0xa1, 1, 0, 0);
            point(answer, 0xa2, end[1], end[2], end[3]);
            point(answer, 1, 0, 2, 0);
            break;
        }
        default:
            return kSenseInvalidField;
    }
    answer.put16(0, answer.size() - 2);
    data.send(answer.bytes(), big_endian(cdb, 7, 2));
    return kSenseNone;
}

// [MMC-6 6.22]
Sense CdDrive::read_disc_information(Cdb cdb, DataPhase& data) const {
    if ((cdb[1] & 7) != 0) return kSenseInvalidField;
    ByteWriter answer;
    answer.u16(32);
    answer.u8(0x0e);  // complete, last session complete
    answer.u8(1);     // first track
    answer.u8(1);     // sessions
    answer.u8(1);     // first track of the last session
    answer.u8(1);     // last track of it
    answer.u8(0x20);  // for any use
    answer.u8(0x00);  // CD-DA or CD-ROM
    answer.zeroes(25);
    data.send(answer.bytes(), big_endian(cdb, 7, 2));
    return kSenseNone;
}

// [MMC-6 6.26]
Sense CdDrive::read_track_information(Cdb cdb, DataPhase& data) const {
    const uint8_t kind = cdb[1] & 3;
    const uint64_t which = big_endian(cdb, 2, 4);
    // By address, by track, by session: there is one of each.
    if (kind == 3 || (kind == 0 ? which >= blocks() : which != 1)) return kSenseInvalidField;
    ByteWriter answer;
    answer.u16(34);
    answer.u8(1);  // track
    answer.u8(1);  // session
    answer.u8(0);
    answer.u8(0x04);  // a data track, recorded uninterrupted
    answer.u8(0x01);  // mode 1
    answer.u8(0);
    answer.u32(0);  // start
    answer.u32(0);  // next writable
    answer.u32(0);  // free
    answer.u32(0);  // packet size
    answer.u32(blocks());
    answer.zeroes(8);
    data.send(answer.bytes(), big_endian(cdb, 7, 2));
    return kSenseNone;
}

// [MMC-6 6.23]
Sense CdDrive::read_dvd_structure(Cdb cdb, DataPhase& data) const {
    const uint8_t format = cdb[7];
    if (!is_dvd() || (cdb[1] & 0x0f) != 0 || cdb[6] != 0) return kSenseInvalidField;
    ByteWriter answer;
    answer.u16(0);
    answer.u16(0);
    switch (format) {
        case 0x00: {  // physical format of layer 0 [MMC-6 6.23.3.2.1]
            constexpr uint32_t kFirstSector = 0x30000;
            answer.u8(0x01);  // DVD-ROM, part version 1
            answer.u8(0x0f);  // 120 mm, no maximum rate
            answer.u8(0x01);  // one layer, embossed
            answer.u8(0x00);
            answer.u32(kFirstSector);
            answer.u32(kFirstSector + blocks() - 1);
            answer.u32(0);
            answer.zeroes(2048 - 16);
            break;
        }
        case 0x01:  // copyright: none
            answer.u32(0);
            break;
        case 0x04:  // manufacturer's information: none
            answer.zeroes(2048);
            break;
        default:
            return kSenseInvalidField;
    }
    answer.put16(0, answer.size() - 2);
    data.send(answer.bytes(), big_endian(cdb, 8, 2));
    return kSenseNone;
}

// [MMC-6 6.24]: no audio is played, and there is neither a catalogue number nor an ISRC.
Sense CdDrive::read_sub_channel(Cdb cdb, DataPhase& data) const {
    const bool msf = (cdb[1] & 2) != 0, q = (cdb[2] & 0x40) != 0;
    constexpr uint8_t kNoAudioStatus = 0x15;
    ByteWriter answer;
    answer.u8(0);
    answer.u8(kNoAudioStatus);
    answer.u16(0);
    if (q) {
        const uint8_t format = cdb[3];
        if (format < 1 || format > 3) return kSenseInvalidField;
        answer.u8(format);
        if (format == 1) {
            answer.u8(kDataTrack);
            answer.u8(1);
            answer.u8(1);
            address(answer, 0, msf);
            address(answer, 0, msf);
        } else {
            answer.zeroes(19);
        }
        answer.put16(2, answer.size() - 4);
    }
    data.send(answer.bytes(), big_endian(cdb, 7, 2));
    return kSenseNone;
}

}  // namespace mynah
