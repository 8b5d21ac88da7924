#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

// Registers and descriptors of the RTL8139C+. [RTL8139C+] is Realtek's RTL8139C(L)+ data sheet,
// revision 1.6 (2002); [RTL8139] the RTL8139D(L) data sheet, revision 1.3, for what both share.
namespace mynah::rtl8139 {

inline constexpr uint64_t kWindow = 256;  // bytes of either BAR

// --- [RTL8139 5], byte offsets.
inline constexpr unsigned kIdr0 = 0x00, kMar0 = 0x08, kTsd0 = 0x10, kTsad0 = 0x20, kRbstart = 0x30,
                          kErbcr = 0x34, kErsr = 0x36, kCr = 0x37, kCapr = 0x38, kCbr = 0x3a,
                          kImr = 0x3c, kIsr = 0x3e, kTcr = 0x40, kRcr = 0x44, kTctr = 0x48,
                          kMpc = 0x4c, k9346Cr = 0x50, kConfig0 = 0x51, kConfig1 = 0x52,
                          kTimerInt = 0x54, kMsr = 0x58, kConfig3 = 0x59, kConfig4 = 0x5a,
                          kMulInt = 0x5c, kRerid = 0x5e, kTsad = 0x60, kBmcr = 0x62, kBmsr = 0x64,
                          kAnar = 0x66, kAnlpar = 0x68, kAner = 0x6a, kDis = 0x6c, kFcsc = 0x6e,
                          kNwaytr = 0x70, kRec = 0x72, kCscr = 0x74, kConfig5 = 0xd8,
                          kTppoll = 0xd9, kCpcr = 0xe0, kRdsar = 0xe4, kEtthr = 0xec;
// In C+ mode: where to dump the counters, and the place of the first transmit descriptors
// [RTL8139C+ 6].
inline constexpr unsigned kDtccr = 0x10, kTnpds = 0x20, kThpds = 0x28;

inline constexpr uint8_t kCrBufe = 0x01, kCrTe = 0x04, kCrRe = 0x08, kCrRst = 0x10;

inline constexpr uint16_t kIntRok = 0x0001, kIntRer = 0x0002, kIntTok = 0x0004, kIntTer = 0x0008,
                          kIntRxovw = 0x0010, kIntLinkChange = 0x0020, kIntFovw = 0x0040,
                          kIntTdu = 0x0080, kIntSwInt = 0x0100, kIntTimeOut = 0x4000,
                          kIntSerr = 0x8000;
inline constexpr uint16_t kIntMask = 0xe1ff;

// Transmit status of descriptors 0 to 3 [RTL8139 5.2].
using TsdSize = Field<uint32_t, 12, 0>;
inline constexpr uint32_t kTsdOwn = bit(13), kTsdTun = bit(14), kTsdTok = bit(15),
                          kTsdTabt = bit(30);
inline constexpr unsigned kTransmitters = 4;

// [RTL8139 5.6, 5.7]
inline constexpr uint32_t kTcrClearAbort = bit(0);
using TcrLoopback = Field<uint32_t, 18, 17>;
inline constexpr uint32_t kTcrWritable = 0x030707f0;
inline constexpr uint32_t kTcrVersion = 0x74800000;  // HWVERID of an 8139C+
inline constexpr uint32_t kRcrAap = bit(0), kRcrApm = bit(1), kRcrAm = bit(2), kRcrAb = bit(3),
                          kRcrAr = bit(4), kRcrAer = bit(5), kRcrWrap = bit(7);
inline constexpr uint32_t kRcrWritable = 0x0f03ffbf;
using RcrRblen = Field<uint32_t, 12, 11>;

// A packet in the C mode's buffer begins with status and length [RTL8139 5.1].
inline constexpr uint16_t kRxRok = 0x0001, kRxBar = 0x2000, kRxPam = 0x4000, kRxMar = 0x8000;

// [RTL8139 5.8]
inline constexpr uint8_t kEecs = 0x08, kEesk = 0x04, kEedi = 0x02, kEedo = 0x01;
using Eem = Field<uint8_t, 7, 6>;
inline constexpr uint8_t kEemNormal = 0, kEemAutoLoad = 1, kEemProgram = 2, kEemConfig = 3;

inline constexpr uint8_t kMsrLinkBad = 0x04;

inline constexpr uint8_t kTppollHigh = 0x80, kTppollNormal = 0x40, kTppollForceInterrupt = 0x01;

// [RTL8139C+ 6.15]
inline constexpr uint16_t kCpcrTransmit = 0x0001, kCpcrReceive = 0x0002, kCpcrChecksum = 0x0020,
                          kCpcrVlan = 0x0040;
inline constexpr uint16_t kCpcrWritable = 0x037f;

inline constexpr uint32_t kDtccrDump = bit(3);
inline constexpr uint64_t kTimerHz = 33'000'000;  // of TCTR: the PCI clock

// --- Transceiver [RTL8139 5.20 to 5.26].
inline constexpr uint16_t kBmcrReset = 0x8000, kBmcrAutoNegotiate = 0x1000, kBmcrRestart = 0x0200;
inline constexpr uint16_t kBmcrWritable = 0x3100;
inline constexpr uint16_t kBmsrAbilities = 0x7809, kBmsrComplete = 0x0020, kBmsrLink = 0x0004;
inline constexpr uint16_t kAnarReset = 0x05e1, kPartner = 0x45e1;
inline constexpr uint16_t kCscrLink = 0x0008, kCscrConnected = 0x0400;

// --- C+ descriptors [RTL8139C+ 8], receive and transmit alike.
struct Descriptor {
    uint32_t command;
    uint32_t vlan;
    uint64_t address;
};
static_assert(sizeof(Descriptor) == 16);
inline constexpr uint32_t kOwn = bit(31), kEndOfRing = bit(30), kFirst = bit(29), kLast = bit(28);
// Transmit.
inline constexpr uint32_t kLargeSend = bit(27), kIpSum = bit(18), kUdpSum = bit(17),
                          kTcpSum = bit(16), kTagInsert = bit(17) /* of vlan */;
using TxMss = Field<uint32_t, 26, 16>;  // with kLargeSend
using TxSize = Field<uint32_t, 15, 0>;
// Receive.
using RxSize = Field<uint32_t, 12, 0>;
inline constexpr uint32_t kRxMulticast = bit(27), kRxPhysical = bit(26), kRxBroadcast = bit(25),
                          kRxIpFail = bit(15), kRxUdpFail = bit(14), kRxTcpFail = bit(13);
using RxProtocol = Field<uint32_t, 17, 16>;  // 1 TCP, 2 UDP, 3 IP
inline constexpr uint32_t kRxTagAvailable = bit(16) /* of vlan */;
inline constexpr unsigned kMaxDescriptors = 64;  // of a ring

}  // namespace mynah::rtl8139
