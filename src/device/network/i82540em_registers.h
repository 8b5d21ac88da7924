#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

// Registers and descriptors of the 82540EM. [8254x] is Intel's PCI/PCI-X Family of Gigabit Ethernet
// Controllers Software Developer's Manual, 317453-006 (revision 4.0); sections of chapter 13 for
// registers, 3 for descriptors.
namespace mynah::i82540em {

inline constexpr uint64_t kMemoryWindow = 0x20000;  // bytes of BAR 0
inline constexpr uint64_t kIoWindow = 64;           // bytes of the I/O BAR
inline constexpr uint64_t kIoAddress = 0, kIoData = 4;

// --- General [8254x 13.4].
inline constexpr uint32_t kCtrl = 0x0000, kStatus = 0x0008, kEecd = 0x0010, kEerd = 0x0014,
                          kCtrlExt = 0x0018, kFla = 0x001c, kMdic = 0x0020, kFcal = 0x0028,
                          kFcah = 0x002c, kFct = 0x0030, kVet = 0x0038, kFcttv = 0x0170,
                          kTxcw = 0x0178, kLedctl = 0x0e00, kPba = 0x1000;

inline constexpr uint32_t kCtrlFd = bit(0), kCtrlSlu = bit(6), kCtrlRst = bit(26),
                          kCtrlVme = bit(30), kCtrlPhyRst = bit(31);
inline constexpr uint32_t kCtrlReset = 0x00000201;  // full duplex, speed 1000

inline constexpr uint32_t kStatusFd = bit(0), kStatusLu = bit(1), kStatusSpeed1000 = 2u << 6,
                          kStatusAsdv1000 = 2u << 8, kStatusMtxckok = bit(10);

inline constexpr uint32_t kEecdSk = bit(0), kEecdCs = bit(1), kEecdDi = bit(2), kEecdDo = bit(3),
                          kEecdFwe = 3u << 4, kEecdReq = bit(6), kEecdGnt = bit(7),
                          kEecdPres = bit(8);

inline constexpr uint32_t kEerdStart = bit(0), kEerdDone = bit(4);
using EerdAddress = Field<uint32_t, 15, 8>;
using EerdData = Field<uint32_t, 31, 16>;

using MdicData = Field<uint32_t, 15, 0>;
using MdicRegister = Field<uint32_t, 20, 16>;
using MdicPhy = Field<uint32_t, 25, 21>;
using MdicOp = Field<uint32_t, 27, 26>;
inline constexpr uint32_t kMdicOpWrite = 1, kMdicOpRead = 2, kMdicInternalPhy = 1;
inline constexpr uint32_t kMdicReady = bit(28), kMdicInterrupt = bit(29), kMdicError = bit(30);

// --- Interrupts [8254x 13.4.17 to 13.4.22].
inline constexpr uint32_t kIcr = 0x00c0, kItr = 0x00c4, kIcs = 0x00c8, kIms = 0x00d0, kImc = 0x00d8;
inline constexpr uint32_t kCauseTxdw = bit(0), kCauseTxqe = bit(1), kCauseLsc = bit(2),
                          kCauseRxdmt0 = bit(4), kCauseRxo = bit(6), kCauseRxt0 = bit(7),
                          kCauseMdac = bit(9), kCauseTxdLow = bit(15);
inline constexpr uint32_t kCauses = 0x0001ffff;
inline constexpr uint64_t kItrUnitNs = 256;

// --- Receive [8254x 13.4.23, 13.4.25 to 13.4.31].
inline constexpr uint32_t kRctl = 0x0100, kFcrtl = 0x2160, kFcrth = 0x2168, kRdbal = 0x2800,
                          kRdbah = 0x2804, kRdlen = 0x2808, kRdh = 0x2810, kRdt = 0x2818,
                          kRdtr = 0x2820, kRxdctl = 0x2828, kRadv = 0x282c, kRsrpd = 0x2c00,
                          kRxcsum = 0x5000, kMta = 0x5200, kRal = 0x5400, kVfta = 0x5600;
inline constexpr unsigned kMtaWords = 128, kVftaWords = 128, kReceiveAddresses = 16;

inline constexpr uint32_t kRctlEn = bit(1), kRctlSbp = bit(2), kRctlUpe = bit(3), kRctlMpe = bit(4),
                          kRctlLpe = bit(5), kRctlBam = bit(15), kRctlVfe = bit(18),
                          kRctlCfien = bit(19), kRctlCfi = bit(20), kRctlBsex = bit(25),
                          kRctlSecrc = bit(26);
using RctlRdmts = Field<uint32_t, 9, 8>;
using RctlMo = Field<uint32_t, 13, 12>;
using RctlBsize = Field<uint32_t, 17, 16>;

inline constexpr uint32_t kRahValid = bit(31);
inline constexpr uint32_t kRdtrFlush = bit(31);
inline constexpr uint64_t kDelayUnitNs = 1024;  // of RDTR, RADV, TIDV, TADV
using RxcsumStart = Field<uint32_t, 7, 0>;
inline constexpr uint32_t kRxcsumIpofl = bit(8), kRxcsumTuofl = bit(9);

// --- Transmit [8254x 13.4.33 to 13.4.44].
inline constexpr uint32_t kTctl = 0x0400, kTipg = 0x0410, kAit = 0x0458, kTdbal = 0x3800,
                          kTdbah = 0x3804, kTdlen = 0x3808, kTdh = 0x3810, kTdt = 0x3818,
                          kTidv = 0x3820, kTxdctl = 0x3828, kTadv = 0x382c, kTspmt = 0x3830;
inline constexpr uint32_t kTctlEn = bit(1), kTctlPsp = bit(3);
using TxdctlLwthresh = Field<uint32_t, 31, 25>;

// --- Power management [8254x 13.6]: kept, without effect.
inline constexpr uint32_t kWuc = 0x5800, kWufc = 0x5808, kWus = 0x5810, kManc = 0x5820;

// --- Statistics [8254x 13.7], cleared by being read.
inline constexpr uint32_t kStatistics = 0x4000, kStatisticsEnd = 0x4100;
inline constexpr uint32_t kMpc = 0x4010, kPrc64 = 0x405c, kGprc = 0x4074, kBprc = 0x4078,
                          kMprc = 0x407c, kGptc = 0x4080, kGorcl = 0x4088, kGotcl = 0x4090,
                          kRnbc = 0x40a0, kRuc = 0x40a4, kRoc = 0x40ac, kTorl = 0x40c0,
                          kTotl = 0x40c8, kTpr = 0x40d0, kTpt = 0x40d4, kPtc64 = 0x40d8,
                          kMptc = 0x40f0, kBptc = 0x40f4, kTsctc = 0x40f8;

// --- Descriptors.

// [8254x 3.2.3]
struct ReceiveDescriptor {
    uint64_t address;
    uint16_t length;
    uint16_t checksum;
    uint8_t status;
    uint8_t errors;
    uint16_t special;
};
static_assert(sizeof(ReceiveDescriptor) == 16);
inline constexpr uint8_t kRxDd = 0x01, kRxEop = 0x02, kRxIxsm = 0x04, kRxVp = 0x08, kRxTcpcs = 0x20,
                         kRxIpcs = 0x40, kRxPif = 0x80;
inline constexpr uint8_t kRxErrorTcp = 0x20, kRxErrorIp = 0x40;

// [8254x 3.3.3, 3.3.6, 3.3.7]: legacy, context and data descriptors.
struct TransmitDescriptor {
    uint64_t low;
    uint32_t command;
    uint32_t status;
};
static_assert(sizeof(TransmitDescriptor) == 16);
inline constexpr uint32_t kTxEop = bit(24), kTxRs = bit(27), kTxDext = bit(29), kTxVle = bit(30),
                          kTxIde = bit(31);
inline constexpr uint32_t kTxTse = bit(26);  // data and context
inline constexpr uint32_t kTxIc = bit(26);   // legacy
using TxLegacyLength = Field<uint32_t, 15, 0>;
using TxLegacyCso = Field<uint32_t, 23, 16>;
using TxLegacyCss = Field<uint32_t, 15, 8>;  // of status
using TxDataLength = Field<uint32_t, 19, 0>;
using TxType = Field<uint32_t, 23, 20>;
inline constexpr uint32_t kTxTypeContext = 0, kTxTypeData = 1;
inline constexpr uint32_t kTxStatusDd = bit(0), kTxStatusMask = 0xf;
inline constexpr uint32_t kTxIxsm = bit(8), kTxTxsm = bit(9);  // POPTS, of status
using TxSpecial = Field<uint32_t, 31, 16>;                     // of status
// Context: `low` has IPCSS, IPCSO, IPCSE, TUCSS, TUCSO, TUCSE.
using ContextIpcss = Field<uint64_t, 7, 0>;
using ContextIpcso = Field<uint64_t, 15, 8>;
using ContextIpcse = Field<uint64_t, 31, 16>;
using ContextTucss = Field<uint64_t, 39, 32>;
using ContextTucso = Field<uint64_t, 47, 40>;
using ContextTucse = Field<uint64_t, 63, 48>;
inline constexpr uint32_t kContextTcp = bit(24), kContextIpv4 = bit(25);
using ContextHeaderLength = Field<uint32_t, 15, 8>;  // of status
using ContextMss = Field<uint32_t, 31, 16>;          // of status

inline constexpr size_t kDescriptorSize = 16;
inline constexpr uint32_t kRingLengthMask = 0x000fff80;  // RDLEN, TDLEN

}  // namespace mynah::i82540em
