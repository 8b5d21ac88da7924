#pragma once

#include <cstdint>

// Command codes and what their registers select [ACS-3 7; ATA8-APT].
namespace mynah::ata {

inline constexpr uint8_t kDataSetManagement = 0x06, kDeviceReset = 0x08, kRecalibrate = 0x10,
                         kReadSectors = 0x20, kReadSectorsNoRetry = 0x21, kReadSectorsExt = 0x24,
                         kReadDmaExt = 0x25, kReadMultipleExt = 0x29, kReadLogExt = 0x2f,
                         kWriteSectors = 0x30, kWriteSectorsNoRetry = 0x31, kWriteSectorsExt = 0x34,
                         kWriteDmaExt = 0x35, kWriteMultipleExt = 0x39, kWriteDmaFuaExt = 0x3d,
                         kReadVerify = 0x40, kReadVerifyNoRetry = 0x41, kReadVerifyExt = 0x42,
                         kReadLogDmaExt = 0x47, kReadFpdmaQueued = 0x60, kWriteFpdmaQueued = 0x61,
                         kSeek = 0x70, kExecuteDiagnostic = 0x90, kInitializeParameters = 0x91,
                         kStandbyImmediateOld = 0x94, kIdleImmediateOld = 0x95, kStandbyOld = 0x96,
                         kIdleOld = 0x97, kCheckPowerModeOld = 0x98, kSleepOld = 0x99,
                         kPacket = 0xa0, kIdentifyPacketDevice = 0xa1, kSmart = 0xb0,
                         kReadMultiple = 0xc4, kWriteMultiple = 0xc5, kSetMultiple = 0xc6,
                         kReadDma = 0xc8, kReadDmaNoRetry = 0xc9, kWriteDma = 0xca,
                         kWriteDmaNoRetry = 0xcb, kWriteMultipleFuaExt = 0xce,
                         kStandbyImmediate = 0xe0, kIdleImmediate = 0xe1, kStandby = 0xe2,
                         kIdle = 0xe3, kCheckPowerMode = 0xe5, kSleep = 0xe6, kFlushCache = 0xe7,
                         kFlushCacheExt = 0xea, kIdentifyDevice = 0xec, kSetFeatures = 0xef;

// SET FEATURES subcommands [ACS-3 7.45].
namespace set_features {
inline constexpr uint8_t kEnableWriteCache = 0x02, kSetTransferMode = 0x03,
                         kDisableLookAhead = 0x55, kDisableRevert = 0x66, kDisableWriteCache = 0x82,
                         kEnableLookAhead = 0xaa, kEnableRevert = 0xcc;
}

// SMART subcommands and the key in LBA 23:8 [ACS-3 7.48; ATA8-ACS 7.53].
namespace smart {
inline constexpr uint8_t kReadData = 0xd0, kReadThresholds = 0xd1, kAutosave = 0xd2,
                         kExecuteOffline = 0xd4, kReadLog = 0xd5, kEnable = 0xd8, kDisable = 0xd9,
                         kReturnStatus = 0xda;
inline constexpr uint16_t kKey = 0xc24f, kKeyExceeded = 0x2cf4;
}  // namespace smart

// Log addresses [ACS-3 A.2].
namespace log_page {
inline constexpr uint8_t kDirectory = 0x00, kSummaryError = 0x01, kSelfTest = 0x06,
                         kQueuedError = 0x10;
}

}  // namespace mynah::ata
