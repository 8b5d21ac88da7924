#include "device/network/i82540em.h"

#include <algorithm>

#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"

namespace mynah {

using namespace i82540em;

namespace {

// Registers without an effect here: what can be written, and what stands in them after a reset.
struct Plain {
    uint32_t offset, writable, reset;
};
constexpr Plain kPlain[] = {
    {kCtrlExt, 0xffffffff, 0},
    {kFla, 0, 0},
    {kFcal, 0xffffffff, 0},
    {kFcah, 0xffff, 0},
    {kFct, 0xffff, 0},
    {kFcttv, 0xffff, 0},
    {kTxcw, 0xc000ffff, 0},
    {kLedctl, 0xcfcfcfcf, 0x07068302},
    {kPba, 0xffff, 0x00100030},
    {kFcrtl, 0x8000fff8, 0},
    {kFcrth, 0xfff8, 0},
    {kRxdctl, 0x013f3f3f, 0x00010000},
    {kRsrpd, 0xfff, 0},
    {kTipg, 0x3fffffff, 0x00602008},
    {kAit, 0xffff, 0},
    {kTspmt, 0xffffffff, 0},
    {kWuc, 0x1b, 0},
    {kWufc, 0x000f00ff, 0},
    {kWus, 0, 0},
    {kManc, 0x0fffffff, 0},
};

// What an 82540EM card's EEPROM says beside its address [8254x 5.6].
struct Word {
    uint8_t index;
    uint16_t value;
};
constexpr Word kEepromWords[] = {
    {0x05, 0xffff},  // no version of a boot agent
    {0x08, 0x0000},
    {0x09, 0x0000},
    {0x0a, 0x4408},  // initialization control 1: valid,
                     // auto-negotiation
    {0x0b, 0x001e},  // subsystem: PRO/1000 MT Desktop
    {0x0c, 0x8086},
    {0x0d, 0x100e},
    {0x0e, 0x8086},
    {0x0f, 0x3040},  // initialization control 2
    {0x20, 0x0000},
    {0x21, 0x7e14},
    {0x22, 0x0000},
    {0x24, 0x0000},
    {0x2f, 0x0602},  // LED control
};
constexpr unsigned kChecksumWord = 0x3f;
constexpr uint16_t kChecksum = 0xbaba;  // of all words [8254x 5.6.35]

bool in_table(uint32_t offset, uint32_t start, unsigned words) {
    return offset >= start && offset < start + words * 4;
}

uint32_t ring_mask(bool low) { return low ? 0xfffffff0 : 0xffffffff; }

void set_half(uint64_t& base, bool low, uint32_t value) {
    value &= ring_mask(low);
    base =
        low ? (base & ~uint64_t{0xffffffff}) | value : (base & 0xffffffff) | uint64_t{value} << 32;
}

}  // namespace

I82540em::I82540em(const MacAddress& address) {
    auto& words = eeprom_.words();
    words.fill(0xffff);
    for (unsigned i = 0; i < 3; ++i) {
        words[i] = static_cast<uint16_t>(address.bytes[2 * i] | address.bytes[2 * i + 1] << 8);
    }
    for (const Word& word : kEepromWords) words[word.index] = word.value;
    uint16_t sum = 0;
    for (unsigned i = 0; i < kChecksumWord; ++i) sum = static_cast<uint16_t>(sum + words[i]);
    words[kChecksumWord] = static_cast<uint16_t>(kChecksum - sum);
    frame_.resize(ethernet::kMaxSuperFrame);
    reset();
}

MacAddress I82540em::eeprom_address() const {
    MacAddress address;
    for (unsigned i = 0; i < 6; ++i) {
        address.bytes[i] = static_cast<uint8_t>(eeprom_.words()[i / 2] >> (i % 2 * 8));
    }
    return address;
}

void I82540em::reset() {
    phy_.reset();
    filter_ = {};
    software_reset(0);
}

// CTRL.RST: everything but the transceiver [8254x 14.1]. The first address comes from the EEPROM.
void I82540em::software_reset(uint64_t now) {
    eeprom_.deselect();
    interrupts_.reset();
    statistics_.reset();
    transmitter_.reset();
    filter_.addresses = {};
    filter_.set_address(0, eeprom_address());
    ctrl_ = kCtrlReset;
    eecd_ = eerd_ = 0;
    mdic_ = kMdicReady;
    rctl_ = rxcsum_ = tctl_ = txdctl_ = 0;
    vet_ = ethernet::kTypeVlan;
    tx_ = {};
    rx_ = {};
    rx_base_ = 0;
    rx_length_ = 0;
    plain_.assign(std::size(kPlain), 0);
    for (size_t i = 0; i < plain_.size(); ++i) plain_[i] = kPlain[i].reset;
    link_up_ = false;
    update_link(now);
}

// --- Link.

void I82540em::set_link(bool up, uint64_t now) {
    link_ = up;
    phy_.set_link(up);
    update_link(now);
}

void I82540em::update_link(uint64_t now) {
    const bool up = link_ && (ctrl_ & kCtrlSlu) != 0;
    if (up == link_up_) return;
    link_up_ = up;
    interrupts_.raise(kCauseLsc, now);
}

uint32_t I82540em::status() const {
    uint32_t value = kStatusFd | kStatusSpeed1000 | kStatusAsdv1000;
    if (link_up_) value |= kStatusLu;
    return value;
}

// --- Registers.

uint32_t I82540em::read(uint32_t offset, uint64_t now) {
    if (offset >= kStatistics && offset < kStatisticsEnd) return statistics_.read(offset);
    for (size_t i = 0; i < plain_.size(); ++i) {
        if (kPlain[i].offset == offset) return plain_[i];
    }
    switch (offset) {
        case kCtrl:
        case kCtrl + 4:  // an alias [8254x 13.3]
            return ctrl_;
        case kStatus:
            return status();
        case kEecd:
            return read_eecd();
        case kEerd:
            return eerd_;
        case kMdic:
            return mdic_;
        case kVet:
            return vet_;
        case kRctl:
            return rctl_;
        case kTctl:
            return tctl_;
        case kRxcsum:
            return rxcsum_;
        case kTxdctl:
            return txdctl_;
        case kRdbal:
            return static_cast<uint32_t>(rx_base_);
        case kRdbah:
            return static_cast<uint32_t>(rx_base_ >> 32);
        case kRdlen:
            return rx_length_;
        case kRdh:
            return rx_.head;
        case kRdt:
            return rx_.tail;
        case kTdbal:
            return static_cast<uint32_t>(tx_.base);
        case kTdbah:
            return static_cast<uint32_t>(tx_.base >> 32);
        case kTdlen:
            return tx_.length;
        case kTdh:
            return tx_.head;
        case kTdt:
            return tx_.tail;
        default:
            break;
    }
    if (offset >= kMta && offset < kVfta + kVftaWords * 4) return read_filter(offset);
    return read_interrupts(offset, now);
}

uint32_t I82540em::read_interrupts(uint32_t offset, uint64_t now) {
    switch (offset) {
        case kIcr:
            return interrupts_.read_causes(now);
        case kItr:
            return interrupts_.itr;
        case kIms:
            return interrupts_.mask();
        case kRdtr:
            return interrupts_.rdtr;
        case kRadv:
            return interrupts_.radv;
        case kTidv:
            return interrupts_.tidv;
        case kTadv:
            return interrupts_.tadv;
        default:
            return 0;  // write-only, reserved or not modelled
    }
}

uint32_t I82540em::read_filter(uint32_t offset) const {
    if (in_table(offset, kMta, kMtaWords)) return filter_.multicast[(offset - kMta) / 4];
    if (in_table(offset, kVfta, kVftaWords)) return filter_.vlans[(offset - kVfta) / 4];
    if (in_table(offset, kRal, kReceiveAddresses * 2)) {
        const ReceiveFilter::Address& address = filter_.addresses[(offset - kRal) / 8];
        return offset % 8 == 0 ? address.low : address.high;
    }
    return 0;
}

bool I82540em::write_filter(uint32_t offset, uint32_t value) {
    constexpr uint32_t kHighWritable = 0x8003ffff;
    if (in_table(offset, kMta, kMtaWords)) {
        filter_.multicast[(offset - kMta) / 4] = value;
    } else if (in_table(offset, kVfta, kVftaWords)) {
        filter_.vlans[(offset - kVfta) / 4] = value;
    } else if (in_table(offset, kRal, kReceiveAddresses * 2)) {
        ReceiveFilter::Address& address = filter_.addresses[(offset - kRal) / 8];
        (offset % 8 == 0 ? address.low : address.high) =
            offset % 8 == 0 ? value : value & kHighWritable;
    } else {
        return false;
    }
    return true;
}

void I82540em::write(uint32_t offset, uint32_t value, uint64_t now) {
    for (size_t i = 0; i < plain_.size(); ++i) {
        if (kPlain[i].offset != offset) continue;
        plain_[i] = (plain_[i] & ~kPlain[i].writable) | (value & kPlain[i].writable);
        return;
    }
    if (write_filter(offset, value) || write_interrupts(offset, value, now) ||
        write_rings(offset, value)) {
        return;
    }
    switch (offset) {
        case kCtrl:
        case kCtrl + 4:
            write_ctrl(value, now);
            return;
        case kEecd:
            write_eecd(value);
            return;
        case kEerd:
            write_eerd(value);
            return;
        case kMdic:
            write_mdic(value, now);
            return;
        case kVet:
            vet_ = value & 0xffff;
            return;
        case kRctl:
            rctl_ = value & 0x07ffffff;
            return;
        case kTctl:
            tctl_ = value & 0x01ffffff;
            return;
        case kRxcsum:
            rxcsum_ = value & 0x7ff;
            return;
        case kTxdctl:
            txdctl_ = value;
            return;
        default:
            return;  // read-only, reserved or not modelled
    }
}

bool I82540em::write_interrupts(uint32_t offset, uint32_t value, uint64_t now) {
    const auto word = static_cast<uint16_t>(value);
    switch (offset) {
        case kIcr:
            interrupts_.clear_causes(value, now);
            return true;
        case kItr:
            interrupts_.itr = word;
            return true;
        case kIcs:
            interrupts_.raise(value, now);
            return true;
        case kIms:
            interrupts_.set_mask(value, now);
            return true;
        case kImc:
            interrupts_.clear_mask(value, now);
            return true;
        case kRdtr:
            interrupts_.rdtr = word;
            if ((value & kRdtrFlush) != 0) interrupts_.flush_receive(now);
            return true;
        case kRadv:
            interrupts_.radv = word;
            return true;
        case kTidv:
            interrupts_.tidv = word;
            return true;
        case kTadv:
            interrupts_.tadv = word;
            return true;
        default:
            return false;
    }
}

bool I82540em::write_rings(uint32_t offset, uint32_t value) {
    const auto word = value & 0xffff;
    switch (offset) {
        case kRdbal:
        case kRdbah:
            set_half(rx_base_, offset == kRdbal, value);
            rx_.base = GuestPhys{rx_base_};
            return true;
        case kRdlen:
            rx_length_ = value & kRingLengthMask;
            rx_.descriptors = rx_length_ / kDescriptorSize;
            return true;
        case kRdh:
            rx_.head = word;
            return true;
        case kRdt:
            rx_.tail = word;
            return true;
        case kTdbal:
        case kTdbah:
            set_half(tx_.base, offset == kTdbal, value);
            return true;
        case kTdlen:
            tx_.length = value & kRingLengthMask;
            return true;
        case kTdh:
            tx_.head = word;
            return true;
        case kTdt:
            tx_.tail = word;
            return true;
        default:
            return false;
    }
}

void I82540em::write_ctrl(uint32_t value, uint64_t now) {
    if ((value & kCtrlRst) != 0) {
        software_reset(now);
        return;
    }
    if ((value & kCtrlPhyRst) != 0) phy_.reset();
    ctrl_ = value & ~(kCtrlRst | kCtrlPhyRst);
    update_link(now);
}

// --- EEPROM [8254x 5.3, 13.4.3, 13.4.4].

void I82540em::write_eecd(uint32_t value) {
    eecd_ = value & (kEecdSk | kEecdCs | kEecdDi | kEecdFwe | kEecdReq);
    eeprom_.set_pins((eecd_ & kEecdCs) != 0, (eecd_ & kEecdSk) != 0, (eecd_ & kEecdDi) != 0);
}

uint32_t I82540em::read_eecd() const {
    uint32_t value = eecd_ | kEecdPres;
    if ((eecd_ & kEecdReq) != 0) value |= kEecdGnt;  // at once
    if (eeprom_.data_out()) value |= kEecdDo;
    return value;
}

void I82540em::write_eerd(uint32_t value) {
    eerd_ = value & EerdAddress::kMask;
    if ((value & kEerdStart) == 0) return;
    const uint32_t address = EerdAddress::get(value);
    const uint32_t word = address < Eeprom93c46::kWords ? eeprom_.words()[address] : 0xffff;
    eerd_ = EerdData::with(eerd_, word) | kEerdDone;
}

// --- Transceiver [8254x 13.4.8].

void I82540em::write_mdic(uint32_t value, uint64_t now) {
    mdic_ = value & ~(kMdicReady | kMdicError);
    const uint32_t number = MdicRegister::get(value);
    if (MdicPhy::get(value) != kMdicInternalPhy) {
        mdic_ |= kMdicError;
    } else if (MdicOp::get(value) == kMdicOpRead) {
        mdic_ = MdicData::with(mdic_, phy_.read(number));
    } else if (MdicOp::get(value) == kMdicOpWrite) {
        phy_.write(number, static_cast<uint16_t>(MdicData::get(value)));
    } else {
        mdic_ |= kMdicError;
    }
    mdic_ |= kMdicReady;
    if ((value & kMdicInterrupt) != 0) interrupts_.raise(kCauseMdac, now);
}

}  // namespace mynah
