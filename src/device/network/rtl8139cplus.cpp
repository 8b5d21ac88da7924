#include "device/network/rtl8139cplus.h"

#include <algorithm>
#include <cstring>

#include "backend/network/ethernet.h"

namespace mynah {

using namespace rtl8139;

namespace {

constexpr unsigned kEepromAddress = 7;  // word of the first two bytes

}  // namespace

Rtl8139Cplus::Rtl8139Cplus(const MacAddress& address) {
    auto& words = eeprom_.words();
    words.fill(0);
    words[0] = 0x8129;  // a valid EEPROM [RTL8139 6]
    words[1] = 0x10ec;
    words[2] = 0x8139;
    words[3] = 0x10ec;
    words[4] = 0x8139;
    words[5] = 0x4020;  // minimum grant, maximum latency
    words[6] = 0xe512;  // MSR, CONFIG3
    for (unsigned i = 0; i < 3; ++i) {
        words[kEepromAddress + i] =
            static_cast<uint16_t>(address.bytes[2 * i] | address.bytes[2 * i + 1] << 8);
    }
    frame_.resize(ethernet::kMaxSuperFrame);
    reset();
}

void Rtl8139Cplus::reset() {
    load_eeprom();
    mar_.fill(0);
    bmcr_ = kBmcrAutoNegotiate | 0x2100;  // 100 Mb/s, full duplex
    anar_ = kAnarReset;
    eeprom_control_ = 0;
    config5_ = 0;
    etthr_ = 0;
    timer_int_ = 0;
    mulint_ = 0;
    timer_start_ = 0;
    timer_deadline_ = kNever;
    tx_ok_ = rx_ok_ = 0;
    software_reset();
}

void Rtl8139Cplus::load_eeprom() {
    for (unsigned i = 0; i < idr_.size(); ++i) {
        idr_[i] = static_cast<uint8_t>(eeprom_.words()[kEepromAddress + i / 2] >> (i % 2 * 8));
    }
    config0_ = 0x00;
    config1_ = 0x0c;  // registers in ports and in memory
    config3_ = 0x01;
    config4_ = 0x00;
}

// CR.RST [RTL8139 5.4]: transmitter and receiver; addresses and configuration stay.
void Rtl8139Cplus::software_reset() {
    tsd_.fill(kTsdOwn);
    tsad_.fill(0);
    rbstart_ = 0;
    tcr_ = 0;
    rcr_ = 0;
    mpc_ = 0;
    capr_ = 0xfff0;
    cbr_ = 0;
    imr_ = isr_ = 0;
    command_ = 0;
    cpcr_ = 0;
    rdsar_ = 0;
    next_register_ = next_receive_ = 0;
    poll_normal_ = poll_high_ = false;
    normal_.reset();
    high_.reset();
}

void Rtl8139Cplus::set_link(bool up) {
    if (link_ == up) return;
    link_ = up;
    isr_ |= kIntLinkChange;
}

// --- Access: registers have widths of their own, accesses any.

const Rtl8139Cplus::Register* Rtl8139Cplus::register_at(unsigned offset) {
    static constexpr Register kRegisters[] = {
        {kTsd0, 4},      {kTsd0 + 4, 4},  {kTsd0 + 8, 4},   {kTsd0 + 12, 4}, {kTsad0, 4},
        {kTsad0 + 4, 4}, {kTsad0 + 8, 4}, {kTsad0 + 12, 4}, {kRbstart, 4},   {kErbcr, 2},
        {kErsr, 1},      {kCr, 1},        {kCapr, 2},       {kCbr, 2},       {kImr, 2},
        {kIsr, 2},       {kTcr, 4},       {kRcr, 4},        {kTctr, 4},      {kMpc, 4},
        {k9346Cr, 1},    {kConfig0, 1},   {kConfig1, 1},    {kTimerInt, 4},  {kMsr, 1},
        {kConfig3, 1},   {kConfig4, 1},   {kMulInt, 2},     {kRerid, 1},     {kTsad, 2},
        {kBmcr, 2},      {kBmsr, 2},      {kAnar, 2},       {kAnlpar, 2},    {kAner, 2},
        {kDis, 2},       {kFcsc, 2},      {kNwaytr, 2},     {kRec, 2},       {kCscr, 2},
        {kConfig5, 1},   {kTppoll, 1},    {kCpcr, 2},       {kRdsar, 4},     {kRdsar + 4, 4},
        {kEtthr, 1}};
    static constexpr Register kAddressByte{0, 1};
    if (offset < kIdr0 + 6 || (offset >= kMar0 && offset < kMar0 + 8)) return &kAddressByte;
    for (const Register& each : kRegisters) {
        if (offset >= each.offset && offset < each.offset + each.size) return &each;
    }
    return nullptr;
}

uint32_t Rtl8139Cplus::read(unsigned offset, unsigned size, uint64_t now) const {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        const unsigned at = offset + i;
        uint32_t byte = 0;
        if (at < kIdr0 + 6) {
            byte = idr_[at];
        } else if (at >= kMar0 && at < kMar0 + 8) {
            byte = mar_[at - kMar0];
        } else if (const Register* found = register_at(at)) {
            byte = read_register(found->offset, now) >> (8 * (at - found->offset)) & 0xff;
        }
        value |= byte << (8 * i);
    }
    return value;
}

void Rtl8139Cplus::write(unsigned offset, unsigned size, uint32_t value, const DmaView& dma,
                         uint64_t now) {
    for (unsigned i = 0; i < size;) {
        const unsigned at = offset + i;
        const auto byte = static_cast<uint8_t>(value >> (8 * i));
        if (at < kIdr0 + 6) {
            if (unlocked()) idr_[at] = byte;
            ++i;
        } else if (at >= kMar0 && at < kMar0 + 8) {
            mar_[at - kMar0] = byte;
            ++i;
        } else if (const Register* found = register_at(at)) {
            // The bytes of this register that are written; the others keep their values, except
            // where writing ones clears.
            uint32_t whole = found->offset == kIsr ? 0 : read_register(found->offset, now);
            for (; i < size && offset + i < found->offset + found->size; ++i) {
                const unsigned shift = 8 * (offset + i - found->offset);
                whole = (whole & ~(uint32_t{0xff} << shift)) | (value >> (8 * i) & 0xff) << shift;
            }
            write_register(found->offset, whole, dma, now);
        } else {
            ++i;
        }
    }
}

uint32_t Rtl8139Cplus::read_register(unsigned offset, uint64_t now) const {
    if (offset >= kTsd0 && offset < kTsd0 + 16) return tsd_[(offset - kTsd0) / 4];
    if (offset >= kTsad0 && offset < kTsad0 + 16) return tsad_[(offset - kTsad0) / 4];
    if (const auto value = read_transceiver(offset)) return *value;
    switch (offset) {
        case kRbstart:
            return rbstart_;
        case kCr:
            return command_ | (buffer_empty() ? kCrBufe : 0);
        case kCapr:
            return capr_;
        case kCbr:
            return cbr_;
        case kImr:
            return imr_;
        case kIsr:
            return isr_;
        case kTcr:
            return tcr_ | kTcrVersion;
        case kRcr:
            return rcr_;
        case kTctr:
            return static_cast<uint32_t>((now - timer_start_) * (kTimerHz / 1'000'000) / 1000);
        case kMpc:
            return mpc_;
        case k9346Cr:
            return eeprom_control_ | (eeprom_.data_out() ? kEedo : 0);
        case kConfig0:
            return config0_;
        case kConfig1:
            return config1_;
        case kTimerInt:
            return timer_int_;
        case kConfig3:
            return config3_;
        case kConfig4:
            return config4_;
        case kConfig5:
            return config5_;
        case kMulInt:
            return mulint_;
        case kCpcr:
            return cpcr_;
        case kRdsar:
            return static_cast<uint32_t>(rdsar_);
        case kRdsar + 4:
            return static_cast<uint32_t>(rdsar_ >> 32);
        case kEtthr:
            return etthr_;
        default:
            return 0;
    }
}

std::optional<uint32_t> Rtl8139Cplus::read_transceiver(unsigned offset) const {
    switch (offset) {
        case kMsr:
            return link_ ? 0 : kMsrLinkBad;
        case kBmcr:
            return bmcr_;
        case kBmsr:
            return kBmsrAbilities | (link_ ? kBmsrComplete | kBmsrLink : 0);
        case kAnar:
            return anar_;
        case kAnlpar:
            return link_ ? kPartner : 0;
        case kAner:
            return link_ ? 1 : 0;
        case kCscr:
            return kCscrConnected | (link_ ? kCscrLink : 0);
        case kTsad: {
            // All four transmitters at a glance [RTL8139 5.19].
            uint32_t value = 0;
            for (unsigned i = 0; i < kTransmitters; ++i) {
                if ((tsd_[i] & kTsdOwn) != 0) value |= 1u << i;
                if ((tsd_[i] & kTsdTabt) != 0) value |= 1u << (4 + i);
                if ((tsd_[i] & kTsdTun) != 0) value |= 1u << (8 + i);
                if ((tsd_[i] & kTsdTok) != 0) value |= 1u << (12 + i);
            }
            return value;
        }
        default:
            return std::nullopt;
    }
}

void Rtl8139Cplus::write_register(unsigned offset, uint32_t value, const DmaView& dma,
                                  uint64_t now) {
    if (write_transmit(offset, value, dma) || write_configuration(offset, value) ||
        write_transceiver(offset, value)) {
        return;
    }
    switch (offset) {
        case kRbstart:
            rbstart_ = value;
            return;
        case kCr:
            write_command(value);
            return;
        case kCapr:
            capr_ = static_cast<uint16_t>(value);
            return;
        case kImr:
            imr_ = static_cast<uint16_t>(value & kIntMask);
            return;
        case kIsr:
            isr_ &= static_cast<uint16_t>(~value);
            return;
        case kRcr:
            rcr_ = value & kRcrWritable;
            return;
        case kTctr:  // starts again from zero
            timer_start_ = now;
            arm_timer();
            return;
        case kMpc:
            mpc_ = 0;
            return;
        case kTimerInt:
            timer_int_ = value;
            arm_timer();
            return;
        case kMulInt:
            mulint_ = static_cast<uint16_t>(value & 0x0fff);
            return;
        case kRdsar:
            rdsar_ = (rdsar_ & ~low_mask(32)) | (value & ~uint32_t{0xff});
            next_receive_ = 0;
            return;
        case kRdsar + 4:
            rdsar_ = (rdsar_ & low_mask(32)) | uint64_t{value} << 32;
            next_receive_ = 0;
            return;
        default:
            return;  // read-only or not modelled
    }
}

bool Rtl8139Cplus::write_transmit(unsigned offset, uint32_t value, const DmaView& dma) {
    if (offset == kDtccr && (cpcr_ & kCpcrTransmit) != 0) {
        tsd_[0] = value;
        if ((value & kDtccrDump) != 0) dump_counters(dma);
        return true;
    }
    if (offset >= kTsd0 && offset < kTsd0 + 16) {
        // Clearing OWN starts it; the status bits are ours.
        uint32_t& tsd = tsd_[(offset - kTsd0) / 4];
        constexpr uint32_t kOurs = kTsdTok | kTsdTun | kTsdTabt;
        tsd = (cpcr_ & kCpcrTransmit) != 0 ? value : value & ~kOurs;
        return true;
    }
    if (offset >= kTsad0 && offset < kTsad0 + 16) {
        tsad_[(offset - kTsad0) / 4] = value;
        // In C+ mode this is where a ring begins.
        if (offset < kThpds) normal_.reset();
        if (offset >= kThpds) high_.reset();
        return true;
    }
    switch (offset) {
        case kTcr:
            tcr_ = value & kTcrWritable;
            return true;
        case kTppoll:
            poll_normal_ = poll_normal_ || (value & kTppollNormal) != 0;
            poll_high_ = poll_high_ || (value & kTppollHigh) != 0;
            if ((value & kTppollForceInterrupt) != 0) isr_ |= kIntSwInt;
            return true;
        case kEtthr:
            etthr_ = static_cast<uint8_t>(value & 0x3f);
            return true;
        default:
            return false;
    }
}

bool Rtl8139Cplus::unlocked() const { return Eem::get(eeprom_control_) == kEemConfig; }

bool Rtl8139Cplus::write_configuration(unsigned offset, uint32_t value) {
    const auto byte = static_cast<uint8_t>(value);
    switch (offset) {
        case k9346Cr:
            write_9346cr(value);
            return true;
        case kConfig1:  // some bits only read [RTL8139 5.10]
            if (unlocked()) config1_ = static_cast<uint8_t>((byte & 0xf3) | (config1_ & 0x0c));
            return true;
        case kConfig3:
            if (unlocked()) config3_ = static_cast<uint8_t>((byte & 0xbe) | (config3_ & 0x41));
            return true;
        case kConfig4:
            if (unlocked()) config4_ = byte;
            return true;
        case kConfig5:
            config5_ = byte & 0x7f;
            return true;
        case kCpcr:
            cpcr_ = static_cast<uint16_t>(value & kCpcrWritable);
            return true;
        default:
            return false;
    }
}

bool Rtl8139Cplus::write_transceiver(unsigned offset, uint32_t value) {
    switch (offset) {
        case kBmcr:
            if ((value & kBmcrReset) != 0) {
                bmcr_ = kBmcrAutoNegotiate | 0x2100;
                anar_ = kAnarReset;
            } else {
                bmcr_ = static_cast<uint16_t>(value & kBmcrWritable);
            }
            return true;
        case kAnar:
            anar_ = static_cast<uint16_t>(value & 0xfdff);
            return true;
        case kMsr:
            return true;  // flow control is not modelled
        default:
            return false;
    }
}

void Rtl8139Cplus::write_command(uint32_t value) {
    if ((value & kCrRst) != 0) {
        software_reset();
        return;
    }
    const bool was_on = (command_ & kCrRe) != 0;
    command_ = static_cast<uint8_t>(value & (kCrRe | kCrTe));
    if (!was_on && (command_ & kCrRe) != 0) {  // the buffer begins anew
        cbr_ = 0;
        next_receive_ = 0;
    }
    if ((command_ & kCrTe) == 0) next_register_ = 0;
}

void Rtl8139Cplus::write_9346cr(uint32_t value) {
    eeprom_control_ = static_cast<uint8_t>(value & (Eem::kMask | kEecs | kEesk | kEedi));
    switch (Eem::get(eeprom_control_)) {
        case kEemAutoLoad:
            load_eeprom();
            eeprom_control_ = 0;
            break;
        case kEemProgram:
            eeprom_.set_pins((value & kEecs) != 0, (value & kEesk) != 0, (value & kEedi) != 0);
            break;
        default:
            eeprom_.deselect();
            break;
    }
}

// --- Timer and counters.

void Rtl8139Cplus::arm_timer() {
    constexpr uint64_t kMhz = kTimerHz / 1'000'000;
    timer_deadline_ =
        timer_int_ == 0 ? kNever : timer_start_ + (uint64_t{timer_int_} * 1000 + kMhz - 1) / kMhz;
}

uint64_t Rtl8139Cplus::deadline() const { return timer_deadline_; }

void Rtl8139Cplus::expire(uint64_t now) {
    if (timer_deadline_ > now) return;
    timer_deadline_ = kNever;
    isr_ |= kIntTimeOut;
}

// [RTL8139C+ 6.2]: 64 bytes, of which the first two counters are kept here.
void Rtl8139Cplus::dump_counters(const DmaView& dma) {
    std::array<uint64_t, 8> counters{tx_ok_, rx_ok_, 0, 0, 0, 0, 0, 0};
    const GuestPhys place{uint64_t{tsd_[1]} << 32 | (tsd_[0] & ~uint32_t{0x3f})};
    (void)dma.write(place, std::as_bytes(std::span(counters)));
    tsd_[0] &= ~kDtccrDump;
}

}  // namespace mynah
